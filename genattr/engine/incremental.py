"""Run a plan: each step on the windows that changed, the rest from the untouched photo's maps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from genattr.engine.graph import Graph
from genattr.engine.plan import Batch, Cut
from genattr.engine.window import Kernel


class Photo:
    """The untouched photo's maps, and the network's output after a change in windows.

    Parameters
    ----------
    graph
        The network.
    image
        (3, D, D).
    """

    def __init__(self, graph: Graph, image: Tensor) -> None:
        self.graph = graph
        self._maps = _maps(graph, image[None])
        self._padded: dict[tuple[object, ...], Tensor] = {}

    def logits(self, batch: Batch, content: Tensor) -> Tensor:
        """Return the network's output with new content in the batch's windows.

        Parameters
        ----------
        content
            (n, 3, h, w) pixels of the batch's windows of the image.
        """
        steps, last_use = self.graph.steps, self._last_use
        values: list[Tensor | None] = [None] * len(steps)
        values[0] = content.contiguous(memory_format=torch.channels_last)
        for here, step in enumerate(steps):
            if here > 0:
                inputs = [_there(values[index]) for index in step.inputs]
                values[here] = self._run(here, inputs, batch.cuts[here], batch.whole[here])
            for index in step.inputs:
                if last_use[index] == here:
                    values[index] = None
        outputs = zip(self.graph.outputs, batch.outputs, strict=True)
        return self.graph.head(
            [self._part(index, None, 0.0, _there(values[index]), cut) for index, cut in outputs]
        )

    def _run(self, here: int, inputs: Sequence[Tensor], cuts: Sequence[Cut], whole: bool) -> Tensor:
        step = self.graph.steps[here]
        operation = step.operation
        assert operation is not None
        kernels = None if whole and operation.whole else operation.kernels
        parts = [
            self._part(index, kernels, operation.fill, value, cut)
            for index, value, cut in zip(step.inputs, inputs, cuts, strict=True)
        ]
        if operation.overwrite and (not cuts[0].is_window or here in self._disposing):
            return operation.overwrite(parts)
        return (operation.whole if whole and operation.whole else operation.run)(parts)

    def _part(
        self,
        index: int,
        kernels: tuple[Kernel, Kernel] | None,
        fill: float,
        value: Tensor,
        cut: Cut,
    ) -> Tensor:
        """Paste a step's windows into the parts of the untouched photo's map around them."""
        if cut.is_window:
            return value
        return fill_in(self._map(index, kernels, fill), value, cut)

    def _map(self, index: int, kernels: tuple[Kernel, Kernel] | None, fill: float) -> Tensor:
        """Return the photo's map with padding, as (H, W, C)."""
        padding: tuple[int, ...] = ()
        if kernels is not None:
            down, across = kernels
            padding = (0, 0, across.before, across.after, down.before, down.after)
        key = (index, padding, fill)
        if key not in self._padded:
            rows = self._maps[index][0].permute(1, 2, 0).contiguous()
            self._padded[key] = functional.pad(rows, padding, value=fill)
        return self._padded[key]

    @cached_property
    def _last_use(self) -> list[int]:
        """The last step that reads each step; a later index for what the head reads."""
        last = list(range(len(self.graph.steps)))
        for here, step in enumerate(self.graph.steps):
            for index in step.inputs:
                last[index] = here
        for index in self.graph.outputs:
            last[index] = len(last)
        return last

    @cached_property
    def _disposing(self) -> set[int]:
        """The steps after which nobody needs the memory of their first input."""
        mine: set[int] = set()  # steps whose memory no other step shares
        disposing: set[int] = set()
        for here, step in enumerate(self.graph.steps):
            if step.operation is None:
                continue
            first = step.inputs[0]
            if first in mine and self._last_use[first] == here:
                disposing.add(here)
            if not step.operation.copies or here in disposing:
                mine.add(here)
        return disposing


def _there(value: Tensor | None) -> Tensor:
    assert value is not None
    return value


def _maps(graph: Graph, image: Tensor) -> list[Tensor]:
    """Run the local steps on whole maps."""
    maps = [image.contiguous(memory_format=torch.channels_last)]
    for step in graph.steps[1:]:
        operation = step.operation
        assert operation is not None
        inputs = [maps[index] for index in step.inputs]
        if operation.kernels and operation.whole is None:
            down, across = operation.kernels
            padding = (across.before, across.after, down.before, down.after)
            inputs = [functional.pad(inputs[0], padding, value=operation.fill)]
        maps.append((operation.whole or operation.run)(inputs))
    return maps


def fill_in(around: Tensor, windows: Tensor, cut: Cut) -> Tensor:
    """Assemble parts: the photo's map, with each row's window pasted in.

    Parameters
    ----------
    around
        (H, W, C) the photo's padded map.
    windows
        (n, C, h, w) one per row.

    Returns
    -------
    (n, C, cut.down.width, cut.across.width), channels last.
    """
    height, width = cut.down.width, cut.across.width
    parts = around.new_empty(len(windows), height, width, around.shape[-1])
    top, bottom = cut.down.frame
    left, right = cut.across.frame
    middle = slice(top, height - bottom)
    for y, x in (
        (slice(0, top), slice(0, width)),
        (slice(height - bottom, height), slice(0, width)),
        (middle, slice(0, left)),
        (middle, slice(width - right, width)),
    ):
        _copy(around, parts, cut, y, x)
    _paste(windows.permute(0, 2, 3, 1), parts, cut)
    return parts.permute(0, 3, 1, 2)


def _copy(around: Tensor, parts: Tensor, cut: Cut, y: slice, x: slice) -> None:
    """Copy one side of the frame from the photo's map."""
    height, width = y.stop - y.start, x.stop - x.start
    if height <= 0 or width <= 0:
        return
    rows, columns, channels = around.shape
    every = around.as_strided(
        (rows - height + 1, columns - width + 1, height, width, channels),
        (around.stride(0), around.stride(1), around.stride(0), around.stride(1), 1),
    )
    top, left = (start.on(around.device) for start in cut.starts)
    parts[:, y, x] = every[top + y.start, left + x.start]


def _paste(windows: Tensor, parts: Tensor, cut: Cut) -> None:
    """Paste windows; consecutive rows with the same target are pasted together."""
    down, across = (rows.tolist() for rows in cut.rows)
    places = [(cut.down.paste(y), cut.across.paste(x)) for y, x in zip(down, across, strict=True)]
    first = 0
    for row in range(1, len(places) + 1):
        if row == len(places) or places[row] != places[first]:
            (to_y, from_y), (to_x, from_x) = places[first]
            parts[first:row, to_y, to_x] = windows[first:row, from_y, from_x]
            first = row
