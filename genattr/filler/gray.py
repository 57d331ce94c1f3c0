"""Gray: one color everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from genattr.filler.base import PlainFiller, channels
from genattr.parameters import Color


@dataclass(frozen=True)
class Gray(PlainFiller):
    """The ImageNet mean, which looks gray, for any classifier (the paper's section 3.3).

    Parameters
    ----------
    color
        RGB in [0, 1].
    """

    color: Color

    is_light: ClassVar[bool] = True

    def fill(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        return channels(self.color, images).expand_as(images)
