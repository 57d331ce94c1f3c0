"""Felzenszwalb and Huttenlocher's segments: regions that differ more than they vary inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt
from skimage.segmentation import felzenszwalb
from torch import Tensor

from genattr.ops.label_map import consecutive
from genattr.ops.superpixels import Sigma, as_pixels
from genattr.parameters import FINITE, Count
from genattr.protocols import Segmentation
from genattr.types import Sample


@dataclass(frozen=True)
class Felzenszwalb(Segmentation):
    """Scikit-image's ``felzenszwalb``.

    Parameters
    ----------
    scale
        More gives larger segments.
    sigma
        Width of the smoothing before.
    min_size
        Pixels of the smallest segment.
    """

    scale: Annotated[float, Gt(0), FINITE]
    sigma: Sigma
    min_size: Count

    def split(self, sample: Sample, n_segments: int, compactness: float, sigma: float) -> Tensor:
        labels = felzenszwalb(
            as_pixels(sample.image), scale=self.scale, sigma=self.sigma, min_size=self.min_size
        )
        return consecutive(labels)
