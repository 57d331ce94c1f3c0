"""The insertion metric of RISE: how fast the probability rises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from genattr.metric.base import Direction
from genattr.metric.pixel_order import PixelOrderMetric


@dataclass(frozen=True)
class Insertion(PixelOrderMetric):
    """Bring back the pixels of highest attribution first; a high area is a good map."""

    direction: ClassVar[Direction] = "higher"

    def removed(self, ranks: Tensor, counts: Tensor) -> Tensor:
        return ranks >= counts
