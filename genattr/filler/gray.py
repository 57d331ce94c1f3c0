"""Gray: one color everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from genattr.errors import require
from genattr.filler.base import PlainFiller, channels


@dataclass(frozen=True)
class Gray(PlainFiller):
    """The ImageNet mean, which looks gray, whatever the classifier (the paper's section 3.3).

    Parameters
    ----------
    color
        RGB in [0, 1].
    """

    color: Sequence[float]

    def __post_init__(self) -> None:
        good = len(self.color) == 3 and all(0 <= value <= 1 for value in self.color)
        require(good, f"filler.color={self.color}: must be three numbers in [0, 1]")

    def fill(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        return channels(self.color, images).expand_as(images)
