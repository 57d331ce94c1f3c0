"""ImageNet photos with a noise that nobody sees: how much of a figure is rounding."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from genattr import seeds
from genattr.dataset.imagenet import ImageNet
from genattr.types import Sample


@dataclass(frozen=True, kw_only=True)
class NoisyImageNet(ImageNet):
    """Each pixel is moved by a normal draw.

    Parameters
    ----------
    deviation
        Of the draw, in [0, 1].
    """

    deviation: float

    def load(self, index: int, size: int) -> Sample:
        """Return a photo with its noise, the same each time."""
        sample = super().load(index, size)
        generator = seeds.generator("noise of the study", sample.image_id)
        noise = torch.randn(sample.image.shape, generator=generator)
        image = (sample.image + self.deviation * noise).clamp(0, 1)
        return replace(sample, image=image)
