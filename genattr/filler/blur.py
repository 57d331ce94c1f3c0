"""Blur: the photo itself, smoothed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from torch import Tensor

from genattr.filler.base import PlainFiller
from genattr.ops.gaussian import gaussian
from genattr.parameters import Radius
from genattr.types import Sample


@dataclass(frozen=True)
class Blur(PlainFiller):
    """A Gaussian blur of the photo (the paper's section 3.5); it sees what it hides.

    Parameters
    ----------
    sigma
        Standard deviation of the Gaussian, in pixels of ``frame``.
    frame
        Whose pixels: the ``classifier``'s input, or the ``native`` photo's. Native sigma shrinks
        with the part of the photo that is shown, by the geometric mean of both axes.
    """

    sigma: Radius
    frame: Literal["classifier", "native"]

    is_light: ClassVar[bool] = True

    def for_sample(self, sample: Sample) -> Blur:
        if self.frame == "classifier":
            return self
        scale = sample.image.shape[-1] / math.sqrt(shown_area(sample))
        return replace(self, sigma=self.sigma * scale, frame="classifier")

    def reads(self, sample: Sample) -> dict[str, Any]:
        if self.frame == "classifier" or shown_area(sample) == math.prod(sample.native_size):
            return {}
        return {"sigma": self.for_sample(sample).sigma}

    def fill(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        return gaussian(images, self.sigma).clamp(0, 1)


def shown_area(sample: Sample) -> float:
    """Return the area of the part of the photo that the image shows, in native pixels."""
    height, width = sample.native_size
    x0, y0, x1, y1 = sample.region or (0, 0, width, height)
    return (x1 - x0) * (y1 - y0)
