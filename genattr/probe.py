"""The interface between methods, fillers and classifiers: one image under test.

``Perturbation`` removes parts of a photo, ``Scorer`` runs the classifier, and a ``Probe`` has
both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from genattr.engine.choose import Engine
from genattr.errors import UserError, require
from genattr.memory import Room, joined
from genattr.perturbation import Perturbation
from genattr.protocols import Classifier, Filler
from genattr.scoring import Counts, Quantity, Scorer, ignore
from genattr.types import Heatmap, Holes, Placement, RectangleHoles, Sample


class Original(NamedTuple):
    """Scores of the untouched photo: see ``Scores``."""

    prob: float
    explained: float


class Probe:
    """One image and one target: remove parts, and score the rest with the classifier.

    A method sees a probe, never a filler or a classifier. The probe owns compositing, batches,
    seeds, counters and the device.

    Parameters
    ----------
    sample
        The photo.
    target
        Class index to explain.
    classifier, filler
        The model under test, and the filler of holes.
    seed
        The run's seed.
    batch_size
        Every batch without gradient is padded to this many rows, so that a row's result does not
        depend on its neighbors.
    room
        The run's batches, in place of ``batch_size``; None: this probe's own.
    device
        Where the classifier's weights are.
    on_scored
        Called with the number of images after each scored batch.
    engine
        Scores rectangular holes if it is incremental; None: always whole images.
    explain
        What ``score`` and ``explained`` return: the target's ``probability``, its ``logit``, or
        its ``log_odds``.
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
        room: Room | None = None,
        device: torch.device | str = "cpu",
        on_scored: Callable[[int], None] = ignore,
        engine: Engine | None = None,
        explain: Quantity = "probability",
    ) -> None:
        counts, room = Counts(on_scored), room or Room("batch_size", batch_size)
        perturbation = Perturbation(
            sample, filler, seed=seed, room=room, device=device, counts=counts
        )
        scorer = Scorer(classifier, target, room=room, counts=counts, explain=explain)
        self._join(perturbation, scorer, engine)

    def _join(self, perturbation: Perturbation, scorer: Scorer, engine: Engine | None) -> Self:
        """Set the two parts, which share their counters."""
        self.perturbation, self.scorer = perturbation, scorer
        self._engine = engine
        self._original: Original | None = None
        return self

    @property
    def sample(self) -> Sample:
        """The photo."""
        return self.perturbation.sample

    @property
    def image(self) -> Tensor:
        """(3, D, D) in [0, 1], on the device."""
        return self.perturbation.image

    @property
    def room(self) -> Room:
        """How many images are filled or scored at a time."""
        return self.scorer.room

    @property
    def size(self) -> int:
        """D, the side of the image in pixels."""
        return self.perturbation.size

    @property
    def target(self) -> int:
        """Index of the class that is explained."""
        return self.scorer.target

    @property
    def classifier(self) -> Classifier:
        """The model under test, for metrics that compare it with another."""
        return self.scorer.classifier

    @property
    def n_classes(self) -> int:
        """How many classes the classifier knows."""
        return len(self.classifier.labels)

    @property
    def change_range(self) -> tuple[float, float]:
        """The largest fall and rise of the explained quantity: 1 of a probability, else no end."""
        bound = 1.0 if self.scorer.explain == "probability" else float("inf")
        return -bound, bound

    @property
    def counts(self) -> Counts:
        """Images scored and filled for this explanation."""
        return self.scorer.counts

    @property
    def network(self) -> nn.Module:
        """The classifier's PyTorch module, for methods with ``needs_network``.

        Raises
        ------
        UserError
            If the classifier has none.
        """
        network = self.classifier.network
        if network is None:
            raise UserError(f"classifier {self.classifier.title} has no PyTorch network")
        return network

    def with_filler(self, filler: Filler) -> Probe:
        """Return a probe of the same image and target with another filler and fresh counters."""
        twin = self._twin(Counts(self.counts.on_scored), filler=filler)
        twin._original = self._original
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
        return self._twin(self.counts, image=image, filler=filler)

    def of_probability(self) -> Probe:
        """Return a probe whose ``score`` is the probability, for metrics; itself if it is."""
        if self.scorer.explain == "probability":
            return self
        twin = self._twin(self.counts, explain="probability")
        if self._original is not None:
            twin._original = Original(self._original.prob, self._original.prob)
        return twin

    def of_classifier(self, classifier: Classifier) -> Probe:
        """Return a probe of the same photo, target and counters under another classifier."""
        return self._twin(self.counts, classifier=classifier)

    def of_target(self, target: int) -> Probe:
        """Return a probe of the same photo and counters for another class."""
        return self._twin(self.counts, target=target)

    def _twin(
        self,
        counts: Counts,
        *,
        image: Tensor | None = None,
        filler: Filler | None = None,
        explain: Quantity | None = None,
        classifier: Classifier | None = None,
        target: int | None = None,
    ) -> Probe:
        perturbation = self.perturbation.changed(counts, image=image, filler=filler)
        scorer = self.scorer.changed(counts, explain, classifier, target)
        engine = self._engine if classifier is None else None
        return Probe.__new__(Probe)._join(perturbation, scorer, engine)

    @property
    def original(self) -> float:
        """The explained quantity on the untouched photo: s(x), unless told otherwise."""
        return self._scored_original.explained

    @property
    def original_probability(self) -> float:
        """s(x): the target's probability on the untouched photo."""
        return self._scored_original.prob

    @property
    def _scored_original(self) -> Original:
        if self._original is None:
            with torch.no_grad():
                scores = self.scorer.scores(self.image[None])
            prob, explained = (self.defined(x[0]) for x in (scores.prob, scores.explained))
            self._original = Original(float(prob), float(explained))
        return self._original

    def generator(self, purpose: str) -> torch.Generator:
        """Return a CPU generator that depends on run seed, photo and purpose alone."""
        return self.perturbation.generator(purpose)

    def fill(self, hole: Tensor) -> Tensor:
        """Return the filler's own images, not composited; see ``Perturbation.fill``."""
        return self.perturbation.fill(hole)

    def composite(self, hole: Tensor, *, hard: bool = False) -> Tensor:
        """Remove the hole, as Eq. 1 says; see ``Perturbation.composite``."""
        return self.perturbation.composite(hole, hard=hard)

    def perturbed(self, holes: Holes) -> Iterator[Tensor]:
        """Yield the composites of many holes, one batch of (n, 3, D, D) at a time."""
        return self.perturbation.perturbed(holes)

    def prob(self, images: Tensor) -> Tensor:
        """Return the (N,) probabilities of the target, differentiable."""
        return self.scorer.scores(images).prob

    def log_odds(self, images: Tensor) -> Tensor:
        """Return the (N,) values log p - log(1 - p) of the target, finite also where p is 1."""
        return self.scorer.scores(images).log_odds

    def explained(self, images: Tensor) -> Tensor:
        """Return the (N,) values of the explained quantity, differentiable."""
        return self.scorer.scores(images).explained

    def first_choices(self, images: Tensor) -> Tensor:
        """Return the (N,) classes that the classifier names first in given images."""
        return self.scorer.first_choices(images)

    @torch.no_grad()
    def score(self, holes: Holes) -> Tensor:
        """Return the (N,) values of the explained quantity with each hole removed, on the CPU.

        Raises
        ------
        UserError
            If the classifier gives NaN or infinity.
        """
        if isinstance(holes, RectangleHoles) and self._engine and self._engine.is_incremental:
            return self.defined(self._score_windows(holes, self._engine))
        return self.defined(torch.cat([self.explained(images) for images in self.perturbed(holes)]))

    def _score_windows(self, holes: RectangleHoles, engine: Engine) -> Tensor:
        """Score holes by the engine, which reads only windows around them."""
        scores = self.image.new_empty(len(holes))
        scored: list[Tensor] = []

        def go_on(size: int) -> None:
            left = _others(len(holes), scored)
            boxes = holes.boxes[left.to(holes.boxes.device)]
            fitting = engine if size == self.room.most else engine.smaller(size)
            for rows, logits in fitting.logits(self.image, boxes, self._content(boxes)):
                scored.append(left.to(rows.device)[rows])
                scores[scored[-1]] = self.scorer.read(logits).explained
                self.counts.add_scored(len(rows))

        self.room.fit(go_on)
        return scores

    def _content(self, boxes: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        """Return what gives the composites' pixels in the windows around some of the boxes."""

        def content(rows: Tensor, windows: Tensor) -> Tensor:
            def part(of: slice) -> Tensor:
                return self.perturbation.windows(boxes[rows[of]], windows[of])

            return joined(self.room.each(len(rows), part))

        return content

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        """Return the (N,) probabilities of the target in given images, on the CPU.

        Raises
        ------
        UserError
            If the classifier gives NaN or infinity.
        """
        return self.defined(self.prob(images))

    def defined(self, scores: Tensor) -> Tensor:
        """Move scores to the CPU; UserError if there is NaN or infinity among them."""
        scores = scores.cpu()
        what = "NaN" if bool(scores.isnan().any()) else "infinity"
        require(
            bool(scores.isfinite().all()),
            f"the classifier gives {what} for {self.sample.image_id}: check its weights and "
            "outputs",
        )
        return scores

    def require_gradient(self, *, is_defined: bool) -> None:
        """Raise UserError unless the classifier's gradients were finite numbers."""
        require(
            is_defined,
            f"the classifier's gradient is NaN or infinite for {self.sample.image_id}, as that of "
            "a root or a norm is at 0: a method without gradients, such as sp or lime, would work",
        )

    def heatmap(
        self,
        values: Tensor,
        value_range: tuple[float, float],
        placement: Placement | None = None,
        **details: float,
    ) -> Heatmap:
        """Make a heatmap of a method's (h, w) values, with the photo, target, score and counts.

        The filler's counts are added to the details, and the explained quantity if it is not the
        probability.
        """
        if self.scorer.explain != "probability":
            details["explained"] = self.original
        return Heatmap(
            values=values.detach().to("cpu", torch.float32).contiguous(),
            value_range=value_range,
            placement=placement or Placement(),
            image_id=self.sample.image_id,
            target=self.target,
            score=self.original_probability,
            n_scored=self.counts.scored,
            n_filled=self.counts.filled,
            details={**details, **self.perturbation.filler.counts},
        )


def _others(count: int, known: Sequence[Tensor]) -> Tensor:
    """Return the numbers below a count that are not in some tensors, (n,) int64 on the CPU."""
    is_left = torch.ones(count, dtype=torch.bool)
    for numbers in known:
        is_left[numbers.cpu()] = False
    return is_left.nonzero()[:, 0]
