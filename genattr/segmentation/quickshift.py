"""Quickshift: segments of any size and shape, the default of the lime package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Le
from skimage.segmentation import quickshift
from torch import Tensor

from genattr.ops.label_map import consecutive
from genattr.ops.superpixels import Sigma, as_pixels
from genattr.parameters import FINITE, MANY_PIXELS, Seed
from genattr.protocols import Segmentation
from genattr.types import Sample


@dataclass(frozen=True)
class Quickshift(Segmentation):
    """Scikit-image's ``quickshift``: pixels move to where similar ones are dense.

    Parameters
    ----------
    ratio
        Weight of color against distance.
    kernel_size
        Width of the density's kernel in pixels; more gives fewer segments.
    max_dist
        A pixel moves no farther; more gives fewer segments.
    sigma
        Width of the smoothing before.
    convert2lab
        Colors are compared in Lab.
    rng
        Seed of the noise that breaks ties.
    """

    ratio: Annotated[float, Ge(0), Le(1)]
    kernel_size: Annotated[float, Ge(1), FINITE, MANY_PIXELS]
    max_dist: Annotated[float, Gt(0), FINITE]
    sigma: Sigma
    convert2lab: bool
    rng: Seed

    def split(self, sample: Sample, n_segments: int, compactness: float, sigma: float) -> Tensor:
        labels = quickshift(
            as_pixels(sample.image),
            ratio=self.ratio,
            kernel_size=self.kernel_size,
            max_dist=self.max_dist,
            sigma=self.sigma,
            convert2lab=self.convert2lab,
            rng=self.rng,
        )
        return consecutive(labels)
