"""Batches of windows: positions in groups of similar cost, one batch for each pair of groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isqrt

import numpy as np
import torch
from torch import Tensor

from genattr.engine.graph import Graph, Step
from genattr.engine.window import Part, Positions, Windows, part

DENSE_FROM = 0.9  # share of a map from which the whole map is computed

LEAST_GROUPS = 6  # along an axis, unless that makes them smaller than half as large

Axis = tuple[Windows, ...]  # one per step


@dataclass(frozen=True)
class Index:
    """Indices, (n,) int64 on the CPU, that are moved to each device once."""

    values: Tensor
    _moved: dict[torch.device, Tensor] = field(default_factory=dict, compare=False)

    def on(self, device: torch.device) -> Tensor:
        """Return the indices on a device."""
        if device not in self._moved:
            self._moved[device] = self.values.to(device)
        return self._moved[device]


@dataclass(frozen=True)
class Cut:
    """What a step reads of one input for each row of a batch, down and across.

    ``rows`` says, for each row of the batch, its position down and its position across.
    """

    down: Part
    across: Part
    rows: tuple[Tensor, Tensor]

    @property
    def is_window(self) -> bool:
        """The input's own windows are all that is read."""
        return self.down.is_window and self.across.is_window

    @cached_property
    def starts(self) -> tuple[Index, Index]:
        """Where each row's part begins in the padded map."""
        down, across = torch.from_numpy(self.down.start), torch.from_numpy(self.across.start)
        return Index(down[self.rows[0]]), Index(across[self.rows[1]])


@dataclass(frozen=True)
class Batch:
    """Windows that are computed together.

    Attributes
    ----------
    rows
        (n,) which of the boxes they are.
    whole
        For each step, whether its whole map is computed.
    cuts
        For each step, one per map that it reads.
    outputs
        For each map that the head reads, how it is assembled.
    """

    rows: Tensor
    whole: Sequence[bool]
    cuts: Sequence[tuple[Cut, ...]]
    outputs: tuple[Cut, ...]

    @cached_property
    def places(self) -> Index:
        """The rows, for tensors on any device."""
        return Index(self.rows)


def plan(graph: Graph, boxes: Tensor, per_axis: int) -> Iterator[Batch]:
    """Sort boxes into batches of one size.

    Parameters
    ----------
    graph
        The network.
    boxes
        (N, 4) int64 x0, y0, x1, y1 inside the image.
    per_axis
        Largest number of positions of a group along an axis; more if a grid of boxes has gaps.
    """
    corners = boxes.numpy()
    sizes, of_box = np.unique(corners[:, 2:] - corners[:, :2], axis=0, return_inverse=True)
    for index, (width, height) in enumerate(sizes.tolist()):
        rows = np.flatnonzero(of_box.reshape(-1) == index)
        yield from _plan_size(graph, rows, corners[rows, :2], (height, width), per_axis)


def _plan_size(
    graph: Graph, rows: Positions, corners: Positions, size: tuple[int, int], per_axis: int
) -> Iterator[Batch]:
    """Sort boxes of one size, by their (n, 2) left and top, into batches."""
    lefts, of_column = np.unique(corners[:, 0], return_inverse=True)
    tops, of_row = np.unique(corners[:, 1], return_inverse=True)
    side = max(isqrt(per_axis**2 * len(lefts) * len(tops) // len(rows)), per_axis)
    across = list(_groups(graph, lefts, size[1], 1, side))
    for members_down, down in _groups(graph, tops, size[0], 0, side):
        rank_down = _rank(members_down, len(tops))[of_row]
        for members_across, right in across:
            rank_across = _rank(members_across, len(lefts))[of_column]
            chosen = np.flatnonzero((rank_down >= 0) & (rank_across >= 0))
            chosen = chosen[np.lexsort((rank_across[chosen], rank_down[chosen]))]
            for rows_of_batch in _split(
                chosen, min(len(members_down) * len(members_across), per_axis**2)
            ):
                yield _batch(
                    graph,
                    rows[rows_of_batch],
                    (rank_down[rows_of_batch], rank_across[rows_of_batch]),
                    down,
                    right,
                )


def _split(rows: Positions, most: int) -> list[Positions]:
    """Cut rows into batches of about the same size."""
    return np.array_split(rows, -(-len(rows) // most)) if len(rows) > 0 else []


def _rank(members: Positions, count: int) -> Positions:
    """Return each position's place among the members, -1 for others."""
    rank = np.full(count, -1)
    rank[members] = np.arange(len(members))
    return rank


def _groups(
    graph: Graph, starts: Positions, width: int, axis: int, per_axis: int
) -> Iterator[tuple[Positions, Axis]]:
    """Yield groups of positions of similar cost, and their windows in every map."""
    changed = _changes(graph.steps, starts, width, axis)
    price = sum(
        (stop - start) / step.shape[1 + axis] * step.cost
        for (start, stop), step in zip(changed, graph.steps, strict=True)
    )
    order = np.argsort(price, kind="stable")
    for members in np.array_split(order, _count(len(starts), per_axis)):
        members = np.sort(members)
        windows = [
            Windows.around(start[members], stop[members], step.shape[1 + axis])
            for (start, stop), step in zip(changed, graph.steps, strict=True)
        ]
        yield members, tuple(windows)


def _count(positions: int, per_axis: int) -> int:
    """Return the number of groups; few positions lie far apart and need smaller groups."""
    return max(-(-positions // per_axis), min(-(-2 * positions // per_axis), LEAST_GROUPS))


def _changes(
    steps: Sequence[Step], starts: Positions, width: int, axis: int
) -> list[tuple[Positions, Positions]]:
    """Return for every step which cells each position changes along one axis."""
    changed = [(starts, starts + width)]
    for step in steps[1:]:
        inputs = [changed[index] for index in step.inputs]
        start = np.minimum.reduce([start for start, _ in inputs])
        stop = np.maximum.reduce([stop for _, stop in inputs])
        kernels = step.operation.kernels if step.operation else None
        changed.append(kernels[axis].changed(start, stop) if kernels else (start, stop))
    return changed


def _batch(
    graph: Graph, rows: Positions, ranks: tuple[Positions, Positions], down: Axis, across: Axis
) -> Batch:
    """Decide what to compute whole, and what each step reads."""
    places = torch.from_numpy(ranks[0]), torch.from_numpy(ranks[1])
    whole = _whole(graph.steps, down, across)
    windows = [
        (y.whole(), x.whole()) if dense else (y, x)
        for y, x, dense in zip(down, across, whole, strict=True)
    ]
    cuts = [
        tuple(
            _cut(step, windows[index], windows[here], whole[here], places) for index in step.inputs
        )
        for here, step in enumerate(graph.steps)
    ]
    outputs = tuple(_kept(windows[index], places) for index in graph.outputs)
    return Batch(torch.from_numpy(rows), whole, cuts, outputs)


def _whole(steps: Sequence[Step], down: Axis, across: Axis) -> list[bool]:
    """Compute a map whole where windows cover most of it, or where it reads a whole one."""
    whole: list[bool] = []
    for step, y, x in zip(steps, down, across, strict=True):
        covered = y.width * x.width / (y.length * x.length)
        whole.append(covered >= DENSE_FROM or any(whole[index] for index in step.inputs))
    return whole


def _cut(
    step: Step,
    available: tuple[Windows, Windows],
    wanted: tuple[Windows, Windows],
    whole: bool,
    places: tuple[Tensor, Tensor],
) -> Cut:
    operation = step.operation
    if operation is None or (whole and operation.whole):
        return _kept(available, places)
    down, across = (
        part(operation.kernels and operation.kernels[axis], available[axis], wanted[axis])
        for axis in (0, 1)
    )
    return Cut(down, across, places)


def _kept(windows: tuple[Windows, Windows], places: tuple[Tensor, Tensor]) -> Cut:
    """Return the cut that assembles the whole map from windows."""
    down, across = (part(None, axis, axis.whole()) for axis in windows)
    return Cut(down, across, places)
