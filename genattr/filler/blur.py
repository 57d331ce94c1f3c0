"""Blur: the photo itself, smoothed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from torch import Tensor

from genattr.filler.base import PlainFiller
from genattr.ops.gaussian import gaussian
from genattr.parameters import Positive
from genattr.types import Sample


@dataclass(frozen=True)
class Blur(PlainFiller):
    """A Gaussian blur of the photo (the paper's section 3.5); it sees what it hides.

    Parameters
    ----------
    sigma
        In pixels.
    frame
        Whose pixels: the ``classifier``'s input, or the ``native`` photo's. Native sigma shrinks
        with the photo, by the geometric mean of both axes.
    """

    sigma: Positive
    frame: Literal["classifier", "native"]

    is_light: ClassVar[bool] = True

    def for_sample(self, sample: Sample) -> Blur:
        if self.frame == "classifier":
            return self
        scale = sample.image.shape[-1] / math.sqrt(math.prod(sample.native_size))
        return replace(self, sigma=self.sigma * scale, frame="classifier")

    def fill(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        return gaussian(images, self.sigma).clamp(0, 1)
