"""Meaningful Perturbation (MP, and MP-G with a generative filler): the paper's section 3.5."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from genattr.method.base import GENERATIVE, Method
from genattr.method.mask import changes_nothing, check_mask_size, upsample
from genattr.method.search import Search, padded_rows, search_together
from genattr.parameters import Count, Interpolation, Natural, NotNegative, Objective, Positive
from genattr.probe import Probe, score_together
from genattr.types import Heatmap, Placement

TV_POWER = 3


@dataclass(frozen=True)
class MP(Method):
    """Learn a small, smooth, soft hole that lowers the probability (Eq. 3), by Adam.

    Parameters
    ----------
    mask_size
        Cells along each axis.
    steps
        Optimization steps.
    lr
        Adam's learning rate.
    l1, tv
        Weights of the hole's size and of its total variation, both sums over cells.
    jitter
        The photo, enlarged by so many pixels, is moved by 0..jitter-1 pixels along each axis at
        random; the mask stays. 0: never.
    jitter_batch
        Moves per step; their probabilities are averaged.
    interpolation
        Between cells: ``bilinear`` or ``nearest``.
    objective
        ``deletion``: the smallest hole that lowers the probability. ``preservation``: the smallest
        part of the photo, all else removed, that keeps it high.
    binarize
        Remove cells of at least 0.5 completely, with a straight-through gradient: MP-G.
    together
        Photos that are explained at a time: a batch always has ``together * jitter_batch`` rows.
        It is part of the heatmap's key: Adam amplifies the rounding of another batch size
        (measured: 0.098 of a cell after 300 steps).
    requires_inpainter
        Refuse fillers that do not synthesize from context: MP-G.
    """

    mask_size: Count
    steps: Count
    lr: Positive
    l1: NotNegative
    tv: NotNegative
    jitter: Natural
    jitter_batch: Count
    interpolation: Interpolation
    objective: Objective
    binarize: bool
    together: Count
    requires_inpainter: bool = field(metadata={"identity": False})

    needs_gradient: ClassVar[bool] = True

    @property
    def family(self) -> str:
        return "MP" if self.objective == "deletion" else f"MP {self.objective}"

    @property
    def title(self) -> str:
        name = "MP" + GENERATIVE * self.requires_inpainter
        return name if self.objective == "deletion" else f"{name} {self.objective}"

    def calls(self, size: int) -> int:
        check_mask_size(self.mask_size, size)
        return self.steps * self.jitter_batch + 1

    def rows(self, size: int, heatmaps: int) -> int:
        return padded_rows(self.calls(size), heatmaps, self.together)

    def explain(self, probe: Probe) -> Heatmap:
        return next(self.explain_many([probe]))[1]

    def explain_many(self, probes: Iterable[Probe]) -> Iterator[tuple[Probe, Heatmap]]:
        """Explain several photos together, with the same result as one by one."""
        return search_together(
            probes, self.together, lambda probe: LearnedHole(probe, self), self._advance
        )

    def removed(self, heatmap: Heatmap, size: int) -> Tensor:
        """Return the learned hole: soft, or binarized at 0.5 for MP-G."""
        learned = heatmap.values if self.objective == "deletion" else 1 - heatmap.values
        hole = upsample(learned, size, self.interpolation)
        return hole >= 0.5 if self.binarize else hole

    def _advance(self, searches: Sequence[LearnedHole]) -> None:
        """Take one gradient step in each search."""
        moved = [search.move() for search in searches]
        images = torch.cat([images for _, images in moved])
        probes = [probe for group, _ in moved for probe in group]
        score = score_together(probes, images, self.together * self.jitter_batch).explained
        means = score.view(len(searches), self.jitter_batch).mean(dim=1)
        losses = [search.loss(mean) for search, mean in zip(searches, means, strict=True)]
        torch.stack(losses).sum().backward()
        for search in searches:
            search.step()


class LearnedHole(Search):
    """The soft hole of one photo as it is learned.

    Attributes
    ----------
    hole
        (n, n) in [0, 1], 1 = removed.
    is_blind
        The filler returns the photo, so that no hole has an effect.
    """

    def __init__(self, probe: Probe, method: MP) -> None:
        super().__init__(probe)
        self.method = method
        self.draws = probe.generator("mp")
        start = torch.rand(method.mask_size, method.mask_size, generator=self.draws)
        self.hole = start.to(probe.image.device).requires_grad_()
        self.optimizer = torch.optim.Adam([self.hole], lr=method.lr)
        self.n_steps = 0
        self.views = Views(probe, method.jitter)
        self.is_blind = changes_nothing(probe)

    @property
    def finished(self) -> bool:
        return self.is_blind or self.n_steps == self.method.steps

    def move(self) -> tuple[Sequence[Probe], Tensor]:
        """Draw moves of the photo; return their probes, and the photo with the hole under each."""
        hole = upsample(self.hole, self.probe.size, self.method.interpolation)
        probes = [self.views.draw(self.draws) for _ in range(self.method.jitter_batch)]
        return probes, torch.cat([p.composite(hole, hard=self.method.binarize) for p in probes])

    def loss(self, score: Tensor) -> Tensor:
        """Return Eq. 3, for the mean under the moves of the probability, or what is explained."""
        deletes = self.method.objective == "deletion"
        size = (self.hole if deletes else 1 - self.hole).abs().sum()
        penalty = self.method.l1 * size + self.method.tv * total_variation(self.hole)
        return penalty + (score if deletes else -score)

    def step(self) -> None:
        """Follow the gradient, stay in [0, 1]."""
        self.optimizer.step()
        self.optimizer.zero_grad()
        with torch.no_grad():
            self.hole.clamp_(0, 1)
        self.n_steps += 1

    def heatmap(self) -> Heatmap:
        hole = self.probe.defined_gradient(self.hole.detach())
        values = hole if self.method.objective == "deletion" else 1 - hole
        return self.probe.heatmap(
            torch.zeros_like(hole) if self.is_blind else values,
            (0.0, 1.0),
            Placement("nearest" if self.method.interpolation == "nearest" else "bilinear"),
            area=float(hole.mean()),
            changed_nothing=float(self.is_blind),
        )


class Views:
    """A photo moved by a few pixels; each move is filled once and cached.

    Parameters
    ----------
    probe
        The photo before moves.
    jitter
        Moves along each axis; the photo is enlarged by so many pixels to have room.
    """

    def __init__(self, probe: Probe, jitter: int) -> None:
        self._probe, self._jitter = probe, jitter
        self._known: dict[tuple[int, int], Probe] = {}
        side = probe.size + jitter
        self._enlarged = functional.interpolate(
            probe.sample.image[None], (side, side), mode="bilinear", align_corners=False
        )[0]

    def draw(self, generator: torch.Generator) -> Probe:
        """Return the probe of a move that is drawn from the generator."""
        if self._jitter == 0:
            return self._probe
        y, x = torch.randint(self._jitter, (2,), generator=generator).tolist()
        return self.at(y, x)

    def at(self, y: int, x: int) -> Probe:
        """Return the probe of the window at row y and column x of the enlarged photo."""
        if (y, x) not in self._known:
            size = self._probe.size
            image = self._enlarged[:, y : y + size, x : x + size]
            self._known[y, x] = self._probe.sharing_counts(image=image)
        return self._known[y, x]


def total_variation(mask: Tensor) -> Tensor:
    """Add up the cubes of the differences between neighboring rows, and columns.

    Parameters
    ----------
    mask
        (n, n).
    """
    down = mask.diff(dim=0).abs().pow(TV_POWER).sum()
    across = mask.diff(dim=1).abs().pow(TV_POWER).sum()
    return down + across
