"""The seam where a filler meets a method: one image under test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from genattr import seeds
from genattr.engine.choose import Engine, cut_out
from genattr.errors import require
from genattr.types import Classifier, Filler, Heatmap, Holes, Placement, RectangleHoles, Sample


def _nothing(_: int) -> None:
    """Ignore progress."""


@dataclass
class Counts:
    """Images that the classifier scored and that the filler filled, for one explanation."""

    scored: int = 0
    filled: int = 0


class Probe:
    """One image, one target: remove parts, see what the classifier says.

    A method sees a probe, never a filler or a classifier. The probe owns compositing, batches,
    seeds, counters and the device.

    Parameters
    ----------
    sample
        The photo.
    target
        Class index to explain.
    classifier, filler
        The model under test, and what stands in a hole.
    seed
        The run's seed.
    batch_size
        Every batch without gradient is padded to this many rows, so that a row's result does not
        depend on its neighbors.
    device
        Where the classifier's weights are.
    on_scored
        Called with the number of images after each scored batch.
    engine
        Scores rectangular holes where it is incremental; None: always image by image.
    """

    def __init__(
        self,
        sample: Sample,
        target: int,
        classifier: Classifier,
        filler: Filler,
        *,
        seed: int = 0,
        batch_size: int = 32,
        device: torch.device | str = "cpu",
        on_scored: Callable[[int], None] = _nothing,
        engine: Engine | None = None,
    ) -> None:
        self.sample = sample
        self.target = target
        self.classifier = classifier
        self.image = sample.image.to(device)
        self.size = self.image.shape[-1]
        self.counts = Counts()
        self._given_filler = filler
        self._filler = filler.for_sample(sample)
        self._seed = seed
        self._batch_size = batch_size
        self._on_scored = on_scored
        self._engine = engine

    def with_filler(self, filler: Filler) -> Probe:
        """Return a probe of the same image and target with another filler and fresh counters."""
        twin = self._twin(self.sample, filler)
        if "original" in self.__dict__:
            twin.__dict__["original"] = self.original
        return twin

    def sharing_counts(self, *, image: Tensor | None = None, filler: Filler | None = None) -> Probe:
        """Return a probe that works for the same explanation, on another image or filler.

        Parameters
        ----------
        image
            (3, D, D), such as the photo moved by some pixels; None: the photo.
        filler
            None: this probe's.
        """
        sample = self.sample if image is None else replace(self.sample, image=image)
        twin = self._twin(sample, filler or self._given_filler)
        twin.counts = self.counts
        return twin

    def _twin(self, sample: Sample, filler: Filler) -> Probe:
        return Probe(
            sample,
            self.target,
            self.classifier,
            filler,
            seed=self._seed,
            batch_size=self._batch_size,
            device=self.image.device,
            on_scored=self._on_scored,
            engine=self._engine,
        )

    @cached_property
    def original(self) -> float:
        """s(x): the target's probability on the untouched photo."""
        return float(self.probabilities(self.image[None])[0])

    def generator(self, purpose: str) -> torch.Generator:
        """Return a CPU generator that depends on run seed, photo and purpose alone."""
        return seeds.generator(self._seed, self.sample.image_id, purpose)

    def fill(self, hole: Tensor) -> Tensor:
        """Return the filler's own images, not composited.

        Parameters
        ----------
        hole
            (N, 1, D, D) in [0, 1]; 0.5 and more counts as removed.

        Returns
        -------
        (N, 3, D, D) in [0, 1], without gradient.
        """
        if not self._filler.reads_hole and not self._filler.stochastic:
            return self._photo_fill.expand(len(hole), -1, -1, -1)
        return self._call_filler(hole.detach() >= 0.5)

    @cached_property
    def _photo_fill(self) -> Tensor:
        """The one fill of a filler that does not read the hole."""
        whole = torch.ones(1, 1, self.size, self.size, dtype=torch.bool, device=self.image.device)
        return self._call_filler(whole)

    @torch.no_grad()
    def _call_filler(self, hole: Tensor) -> Tensor:
        row_seeds = [0] * len(hole)
        if self._filler.stochastic:
            row_seeds = seeds.of_holes(hole, self._seed, self.sample.image_id, "fill")
        self.counts.filled += len(hole)
        return self._filler.fill(self.image.expand(len(hole), -1, -1, -1), hole, row_seeds)

    def composite(self, hole: Tensor, *, hard: bool = False) -> Tensor:
        """Remove the hole: Eq. 1, ``x * (1 - hole) + f * hole``; pixels kept whole stay bit-equal.

        Gradient flows through the hole alone.

        Parameters
        ----------
        hole
            (N, 1, D, D) bool, or float in [0, 1].
        hard
            Binarize at 0.5 in the forward pass, straight-through in the backward pass.

        Returns
        -------
        (N, 3, D, D) in [0, 1].
        """
        filled = self.fill(hole)
        if hole.dtype == torch.bool:
            return torch.where(hole, filled, self.image)
        if hard:
            hole = (hole >= 0.5).to(hole.dtype) + (hole - hole.detach())
        return self.image * (1 - hole) + filled * hole

    def perturbed(self, holes: Holes) -> Iterator[Tensor]:
        """Yield the composites of many holes, one batch of (n, 3, D, D) at a time."""
        there = holes.to(self.image.device)
        for start in range(0, len(there), self._batch_size):
            yield self.composite(there.expand(slice(start, start + self._batch_size)))

    @torch.no_grad()
    def score(self, holes: Holes) -> Tensor:
        """Return the (N,) probabilities of the target with each hole removed, on the CPU.

        Raises
        ------
        UserError
            If the classifier gives NaN.
        """
        if isinstance(holes, RectangleHoles) and self._engine and self._engine.is_incremental:
            return self._defined(self._score_windows(holes, self._engine))
        return self._defined(torch.cat([self.prob(images) for images in self.perturbed(holes)]))

    def _score_windows(self, holes: RectangleHoles, engine: Engine) -> Tensor:
        """Score holes of which the engine sees nothing but the windows that they are in."""

        def content(rows: Tensor, windows: Tensor) -> Tensor:
            pieces = zip(rows.split(self._batch_size), windows.split(self._batch_size), strict=True)
            return torch.cat([self._windows(holes.boxes[some], around) for some, around in pieces])

        scores = self.image.new_empty(len(holes))
        for rows, logits in engine.logits(self.image, holes.boxes, content):
            scores[rows] = logits.softmax(1)[:, self.target]
            self.count_scored(len(rows))
        return scores

    def _windows(self, boxes: Tensor, windows: Tensor) -> Tensor:
        """Return what windows of the composites hold, for (n, 4) holes and windows around them."""
        hole = RectangleHoles(boxes, self.size).to(self.image.device).expand(slice(None))
        image = self.image.expand(len(hole), -1, -1, -1)
        removed, filled, kept = (cut_out(x, windows) for x in (hole, self.fill(hole), image))
        return torch.where(removed, filled, kept)

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        """Return the (N,) probabilities of the target in given images, on the CPU.

        Raises
        ------
        UserError
            If the classifier gives NaN.
        """
        return self._defined(self.prob(images))

    def _defined(self, scores: Tensor) -> Tensor:
        """Bring scores to the CPU, unless there is a NaN: no heatmap can be made of those."""
        scores = scores.cpu()
        require(
            not bool(scores.isnan().any()),
            f"the classifier gives NaN for {self.sample.image_id}: check its weights and outputs",
        )
        return scores

    def prob(self, images: Tensor) -> Tensor:
        """Return the (N,) softmax probabilities of the target, differentiable."""
        return self._logits(images).softmax(1)[:, self.target]

    def log_odds(self, images: Tensor) -> Tensor:
        """Return the (N,) values log p - log(1 - p) of the target, finite also where p is 1."""
        targets = torch.full((len(images),), self.target, device=images.device)
        return log_odds(self._logits(images), targets)

    def _logits(self, images: Tensor) -> Tensor:
        """Score batch by batch; without gradient, each batch padded to one fixed size."""
        pieces = []
        for batch in images.split(self._batch_size):
            pieces.append(self._batch_logits(batch))
            self.count_scored(len(batch))
        return torch.cat(pieces)

    def count_scored(self, count: int) -> None:
        """Note that so many images were scored for this explanation."""
        self.counts.scored += count
        self._on_scored(count)

    def _batch_logits(self, batch: Tensor) -> Tensor:
        if torch.is_grad_enabled() and batch.requires_grad:
            return self.classifier(batch)
        padding = self._batch_size - len(batch)
        with torch.no_grad():
            padded = functional.pad(batch, (0, 0, 0, 0, 0, 0, 0, padding))
            return self.classifier(padded)[: len(batch)]

    def heatmap(
        self,
        values: Tensor,
        value_range: tuple[float, float],
        placement: Placement | None = None,
        **details: float,
    ) -> Heatmap:
        """Wrap a method's (h, w) values with what the probe knows about this explanation.

        What the filler counted, in an attribute ``counts``, joins the details.
        """
        counts: Mapping[str, float] = getattr(self._filler, "counts", {})
        return Heatmap(
            values=values.detach().to("cpu", torch.float32).contiguous(),
            value_range=value_range,
            placement=placement or Placement(),
            image_id=self.sample.image_id,
            target=self.target,
            score=self.original,
            n_scored=self.counts.scored,
            n_filled=self.counts.filled,
            details={**details, **counts},
        )


def score_originals(probes: Sequence[Probe]) -> None:
    """Let each probe know its ``original``: the same value as alone, in batches of several photos.

    Parameters
    ----------
    probes
        All of one classifier and batch size.
    """
    unknown = [probe for probe in probes if "original" not in probe.__dict__]
    if not unknown:
        return
    first = unknown[0]
    batches = torch.stack([probe.image for probe in unknown]).split(first._batch_size)
    scores = torch.cat([first._batch_logits(batch) for batch in batches]).softmax(1)
    for probe, row in zip(unknown, scores, strict=True):
        probe.__dict__["original"] = float(probe._defined(row[probe.target]))
        probe.count_scored(1)


def log_odds(logits: Tensor, targets: Tensor) -> Tensor:
    """Return log p - log(1 - p) of each row's target, finite also where p is 1.

    Parameters
    ----------
    logits
        (N, K).
    targets
        (N,) class indices.

    Returns
    -------
    (N,).
    """
    others = logits.scatter(1, targets[:, None], -torch.inf)
    return logits.gather(1, targets[:, None])[:, 0] - others.logsumexp(1)
