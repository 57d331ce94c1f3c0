"""Mean segment: each segment's own mean color, the default of the lime package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from genattr.filler.base import PlainFiller
from genattr.ops.superpixels import Compactness, Sigma
from genattr.parameters import Count
from genattr.protocols import Filler, Segmentation
from genattr.segmentation.base import idle_beside
from genattr.segmentation.slic import Slic
from genattr.types import Sample


@dataclass(frozen=True)
class MeanSegment(PlainFiller):
    """The photo as a mosaic of segments: by its YAML file those of the method, if it has any.

    Parameters
    ----------
    n_segments, compactness, sigma
        SLIC's; other segmentations take ``n_segments`` or none.
    segmentation
        What the segments are. None: SLIC's superpixels.
    """

    n_segments: Count
    compactness: Compactness
    sigma: Sigma
    segmentation: Segmentation | None

    is_light: ClassVar[bool] = True

    @property
    def idle(self) -> Sequence[str]:
        return idle_beside(self._segmentation)

    @property
    def _segmentation(self) -> Segmentation:
        return self.segmentation or Slic()

    def reads(self, sample: Sample) -> dict[str, Any]:
        return self._segmentation.reads(sample)

    def for_sample(self, sample: Sample) -> Filler:
        return Mosaic(self, sample)

    def fill(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        height, width = images.shape[-2:]
        nameless = Sample(images[0], None, "", None, (height, width))
        return Mosaic(self, nameless).fill(images, hole, seeds)

    def segments(self, sample: Sample) -> Tensor:
        """Return the photo's segments as (D, D) labels."""
        return self._segmentation.split(sample, self.n_segments, self.compactness, self.sigma)


@dataclass(frozen=True)
class Mosaic(PlainFiller):
    """The mean segment of one photo.

    Parameters
    ----------
    owner
        Splits the photo.
    sample
        The photo, which may decide the segments beside its pixels.
    """

    owner: MeanSegment
    sample: Sample

    is_light: ClassVar[bool] = True

    def fill(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        return torch.stack([self._of(image) for image in images])

    def _of(self, image: Tensor) -> Tensor:
        labels = self.owner.segments(replace(self.sample, image=image)).to(image.device)
        flat, pixels = labels.flatten(), image.flatten(1)
        count = torch.bincount(flat).to(image.dtype)
        total = torch.zeros(3, len(count), device=image.device).index_add_(1, flat, pixels)
        return (total / count)[:, labels]
