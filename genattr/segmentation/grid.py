"""Grid: rectangles of equal size, whatever the photo shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from genattr.ops.label_map import consecutive
from genattr.protocols import Segmentation
from genattr.types import Sample


@dataclass(frozen=True)
class Grid(Segmentation):
    """About the owner's ``n_segments`` rectangles: sqrt(n) rows, rounded, and as many columns."""

    uses: ClassVar[Sequence[str]] = ("n_segments",)

    def split(self, sample: Sample, n_segments: int, compactness: float, sigma: float) -> Tensor:
        size = sample.image.shape[-1]
        rows = round(math.sqrt(n_segments))
        columns = round(n_segments / rows)
        pixel = np.arange(size)
        row, column = pixel * rows // size, pixel * columns // size
        return consecutive(row[:, None] * columns + column)
