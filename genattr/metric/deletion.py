"""The deletion metric of RISE: how fast the probability falls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from genattr.metric.base import Direction
from genattr.metric.pixel_order import PixelOrderMetric


@dataclass(frozen=True)
class Deletion(PixelOrderMetric):
    """Remove the pixels of highest attribution first; a low area is a good map."""

    direction: ClassVar[Direction] = "lower"

    def removed(self, ranks: Tensor, counts: Tensor) -> Tensor:
        return ranks < counts
