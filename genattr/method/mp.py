"""Meaningful Perturbation (MP, and MP-G with a generative filler): the paper's section 3.5."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from genattr.method.base import GENERATIVE
from genattr.method.descent import Descent
from genattr.method.mask import check_mask_size, upsample
from genattr.method.search import Entry, SearchMethod
from genattr.method.stack import Stack
from genattr.ops.crops import Crops
from genattr.parameters import (
    Count,
    Interpolation,
    Margin,
    NotNegative,
    Objective,
    Pixels,
    Positive,
)
from genattr.probe import Probe
from genattr.types import Heatmap, Placement

TV_POWER = 3


@dataclass(frozen=True)
class MP(SearchMethod):
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

    mask_size: Pixels
    steps: Count
    lr: Positive
    l1: NotNegative
    tv: NotNegative
    jitter: Margin
    jitter_batch: Count
    interpolation: Interpolation
    objective: Objective
    binarize: bool
    together: Count
    requires_inpainter: bool = field(metadata={"identity": False})

    @property
    def family(self) -> str:
        return "MP" if self.objective == "deletion" else f"MP {self.objective}"

    @property
    def title(self) -> str:
        name = "MP" + GENERATIVE * self.requires_inpainter
        return name if self.objective == "deletion" else f"{name} {self.objective}"

    @property
    def in_words(self) -> str:
        aim = "the smallest hole that lowers the classifier's answer"
        if self.objective == "preservation":
            aim = "the smallest part of the photo that keeps the classifier's answer"
        cells = f"{self.mask_size} x {self.mask_size} cells"
        return f"An optimizer learns in {self.steps} steps {aim}, smooth and of {cells}."

    def unit(self, quantity: str) -> str:
        if self.objective == "preservation":
            return "how much of the place is kept, 0 to 1"
        return "how much of the place is removed, 0 to 1"

    def calls(self, size: int) -> int:
        check_mask_size(self.mask_size, size)
        return self.steps * self.jitter_batch + 1

    def search(self, like: Probe) -> LearnedHoles:
        return LearnedHoles(self, like)

    def removed(self, heatmap: Heatmap, size: int) -> Tensor:
        """Return the learned hole: soft, or binarized at 0.5 for MP-G."""
        learned = heatmap.values if self.objective == "deletion" else 1 - heatmap.values
        hole = upsample(learned, size, self.interpolation)
        return hole >= 0.5 if self.binarize else hole


class LearnedHoles(Descent):
    """The soft holes of several photos as they are learned; its values are (S, n, n) in [0, 1].

    Parameters
    ----------
    method
        What is learned, and how.
    like
        One of the probes; see ``Stack``.
    """

    def __init__(self, method: MP, like: Probe) -> None:
        n = method.mask_size
        holes = torch.zeros(method.together, n, n, device=like.image.device)
        super().__init__(holes, [method.lr] * method.steps, method.jitter_batch, like)
        self.method = method
        self._moves = Moves(self.stack, method)

    def start(self, slot: int, entry: Entry) -> Tensor:
        draws = entry.probe.generator("mp")
        holes = torch.rand(self.values.shape[1:], generator=draws)
        if not entry.is_blind:
            self._moves.begin(slot, entry.probe, draws)
        return holes

    def limit(self) -> None:
        self.values.clamp_(0, 1)

    def images(self, holes: Tensor, number: Tensor) -> Tensor:
        """Return (S, jitter_batch, 3, D, D): the moves of each photo at a step, with its hole."""
        hole = upsample(holes, self._moves.size, self.method.interpolation)[:, None]
        shown = (
            self._moves.at(number, move, self.ages) for move in range(self.method.jitter_batch)
        )
        hard = self.method.binarize
        return torch.cat([self.stack.composite_in(*each, hole, hard=hard) for each in shown], dim=1)

    def loss(self, values: Tensor, number: Tensor) -> Tensor:
        """Return Eq. 3, for the mean under the moves of the probability, or what is explained."""
        scores = self.stack.scores(self.images(values, number)).explained
        score = scores.view(len(values), -1).mean(dim=1)
        deletes = self.method.objective == "deletion"
        size = (values if deletes else 1 - values).abs().sum(dim=(1, 2))
        penalty = self.method.l1 * size + self.method.tv * total_variation(values)
        return penalty + (score if deletes else -score)

    def heatmap(self, slot: int, entry: Entry) -> Heatmap:
        hole = self.values[slot].clone()
        values = hole if self.method.objective == "deletion" else 1 - hole
        return entry.probe.heatmap(
            torch.zeros_like(hole) if entry.is_blind else values,
            (0.0, 1.0),
            Placement("nearest" if self.method.interpolation == "nearest" else "bilinear"),
            area=float(hole.mean()),
            changed_nothing=float(entry.is_blind),
        )


class Moves:
    """The photos of a stack moved by some pixels, as drawn for all their steps when they come.

    Parameters
    ----------
    stack
        The photos.
    method
        How many steps and moves a step there are, and how far they go.
    """

    def __init__(self, stack: Stack, method: MP) -> None:
        self._stack, self._jitter = stack, method.jitter
        slots, self.size = len(stack.probes), stack.images.shape[-1]
        side = self.size + method.jitter
        self._enlarged = stack.images.new_zeros(slots, 3, side, side)
        self._drawn = torch.zeros(slots, method.steps, method.jitter_batch, 2, dtype=torch.long)
        self._on_device = self._drawn.new_zeros(
            3, *self._drawn.shape[:-1], device=stack.images.device
        )
        self._slots = torch.arange(slots, device=stack.images.device)
        self._views: list[Views | None] = [None] * slots

    @cached_property
    def _fills(self) -> Tensor:
        """(S, K, 3, D, D), one fill of each move that is drawn for a photo."""
        slots, steps, moves, _ = self._drawn.shape
        return self._enlarged.new_zeros(
            slots, min(self._jitter**2, steps * moves), 3, self.size, self.size
        )

    def begin(self, slot: int, probe: Probe, draws: torch.Generator) -> None:
        """Draw all moves of a photo that has come, and fill each if one fill is enough."""
        if self._jitter == 0:
            return
        views = self._views[slot] = Views(probe, self._jitter)
        self._enlarged[slot] = views.enlarged
        self._drawn[slot] = torch.randint(self._jitter, self._drawn.shape[1:], generator=draws)
        y, x = self._drawn[slot].unbind(-1)
        known, number = (y * self._jitter + x).unique(return_inverse=True)
        self._on_device[:, slot] = torch.stack([y, x, number]).to(self._slots.device)
        if probe.perturbation.has_one_fill:
            for at, move in enumerate(known.tolist()):
                view = views.at(*divmod(move, self._jitter))
                self._fills[slot, at] = view.perturbation.one_fill[0]
            views.forget()

    def at(
        self, number: Tensor, move: int, ages: Sequence[int]
    ) -> tuple[Tensor, Tensor, Sequence[Probe | None]]:
        """Return the photos under a move, with their fills and probes, as a stack has them.

        Parameters
        ----------
        number
            (S,) int64, the step of each photo.
        move
            Which one of the step.
        ages
            The steps, as Python knows them.
        """
        stack = self._stack
        if self._jitter == 0:
            return stack.images, stack.fills, stack.probes
        y, x, which = self._on_device[:, self._slots, number, move]
        images = Crops(y, x, self.size, self.size).cut(self._enlarged)
        fills = stack.fills if stack.asks_all else self._fills[self._slots, which]
        return images, fills, self._probes(move, ages) if stack.asking else stack.probes

    def _probes(self, move: int, ages: Sequence[int]) -> Sequence[Probe | None]:
        """Return the probes of the moved photos, whose fillers are asked."""
        drawn = self._drawn[range(len(ages)), ages, move].tolist()
        moved = zip(self._stack.probes, self._views, drawn, strict=True)
        return [views.at(*at) if probe and views else None for probe, views, at in moved]


class Views:
    """A photo moved by a few pixels, and its probes.

    Parameters
    ----------
    probe
        The photo before moves.
    jitter
        Moves along each axis; the photo is enlarged by so many pixels to have room.

    Attributes
    ----------
    enlarged
        (3, D + jitter, D + jitter), on the CPU.
    """

    def __init__(self, probe: Probe, jitter: int) -> None:
        self._probe = probe
        self._known: dict[tuple[int, int], Probe] = {}
        side = probe.size + jitter
        self.enlarged = functional.interpolate(
            probe.sample.image[None], (side, side), mode="bilinear", align_corners=False
        )[0]

    def at(self, y: int, x: int) -> Probe:
        """Return the probe of the window at row y and column x of the enlarged photo."""
        if (y, x) not in self._known:
            size = self._probe.size
            image = self.enlarged[:, y : y + size, x : x + size]
            self._known[y, x] = self._probe.sharing_counts(image=image)
        return self._known[y, x]

    def forget(self) -> None:
        """Free the memory of the windows that are known."""
        self._known.clear()


def total_variation(mask: Tensor) -> Tensor:
    """Add up the cubes of the differences between neighboring rows, and columns.

    Parameters
    ----------
    mask
        (..., n, n).

    Returns
    -------
    (...).
    """
    down = mask.diff(dim=-2).abs().pow(TV_POWER).sum(dim=(-2, -1))
    across = mask.diff(dim=-1).abs().pow(TV_POWER).sum(dim=(-2, -1))
    return down + across
