"""Mean segment: each superpixel's own mean color, the default of the lime package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from genattr.filler.base import PlainFiller
from genattr.ops.superpixels import Compactness, Sigma, superpixels
from genattr.parameters import Count


@dataclass(frozen=True)
class MeanSegment(PlainFiller):
    """The photo as a mosaic of superpixels.

    Parameters
    ----------
    n_segments, compactness, sigma
        SLIC's.
    """

    n_segments: Count
    compactness: Compactness
    sigma: Sigma

    is_light: ClassVar[bool] = True

    def fill(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        return torch.stack([self._mosaic(image) for image in images])

    def _mosaic(self, image: Tensor) -> Tensor:
        labels = superpixels(image, self.n_segments, self.compactness, self.sigma).to(image.device)
        flat, pixels = labels.flatten(), image.flatten(1)
        count = torch.bincount(flat).to(image.dtype)
        total = torch.zeros(3, len(count), device=image.device).index_add_(1, flat, pixels)
        return (total / count)[:, labels]
