"""Window arithmetic along one axis: which part of a feature map a change of its input reaches.

A window is [start, start + width) of a map's rows or columns; arrays hold one start per position.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Kernel:
    """A sliding operation along one axis.

    Attributes
    ----------
    size, stride, dilation
        As convolutions have them.
    before
        Padding in front of the map.
    length, result
        Cells of the input and of the output.
    """

    size: int
    stride: int
    dilation: int
    before: int
    length: int
    result: int

    @property
    def span(self) -> int:
        """Cells from the first to the last that one output cell reads."""
        return self.dilation * (self.size - 1) + 1

    @property
    def padded(self) -> int:
        """Cells of the input with all the padding that the outputs read."""
        return max((self.result - 1) * self.stride + self.span, self.before + self.length)

    @property
    def after(self) -> int:
        """Padding behind the map."""
        return self.padded - self.before - self.length

    def changed(self, start: Positions, stop: Positions) -> tuple[Positions, Positions]:
        """Return the output cells that read any of the input cells [start, stop), one at least."""
        first = -((self.span - 1 - start - self.before) // self.stride)
        last = (stop - 1 + self.before) // self.stride
        first = first.clip(0, self.result - 1)
        return first, np.maximum(last.clip(0, self.result - 1), first) + 1


@dataclass(frozen=True)
class Windows:
    """Windows of one width, one per position, inside a map of ``length`` cells."""

    start: Positions
    width: int
    length: int

    @staticmethod
    def around(start: Positions, stop: Positions, length: int) -> Windows:
        """Widen intervals to the widest of them, and shift them into the map."""
        width = int((stop - start).max())
        return Windows(np.minimum(start, length - width), width, length)

    def whole(self) -> Windows:
        """Return windows over the whole map."""
        return Windows(np.zeros_like(self.start), self.length, self.length)


@dataclass(frozen=True)
class Part:
    """The part of one input that a step reads, along one axis.

    Attributes
    ----------
    start, width
        Position of the part in the padded map, one start per position.
    offset, given
        Offset and width of the input's window in the part; it may extend beyond the part.
    """

    start: Positions
    width: int
    offset: Positions
    given: int

    @property
    def is_window(self) -> bool:
        """The part is the input's window itself."""
        return self.width == self.given and not self.offset.any()

    @property
    def frame(self) -> tuple[int, int]:
        """Cells at both ends that the window of some position does not cover."""
        before = int(self.offset.max())
        after = self.width - int(self.offset.min()) - self.given
        return min(max(before, 0), self.width), min(max(after, 0), self.width)

    def paste(self, position: int) -> tuple[slice, slice]:
        """Return the target slice in the part, and the source slice of the window."""
        offset = int(self.offset[position])
        first, last = max(offset, 0), min(offset + self.given, self.width)
        return slice(first, last), slice(first - offset, last - offset)


def part(kernel: Kernel | None, available: Windows, wanted: Windows) -> Part:
    """Return the part of an input, with ``available`` windows, that ``wanted`` windows read."""
    if kernel is None:
        return Part(wanted.start, wanted.width, available.start - wanted.start, available.width)
    start = wanted.start * kernel.stride
    width = (wanted.width - 1) * kernel.stride + kernel.span
    return Part(start, width, available.start + kernel.before - start, available.width)
