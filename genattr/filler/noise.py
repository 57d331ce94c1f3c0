"""Noise: independent normal pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from genattr.filler.base import PlainFiller, channels
from genattr.ops.counter_noise import normals
from genattr.parameters import ThreeNumbers


@dataclass(frozen=True)
class Noise(PlainFiller):
    """N(0, 1) per pixel and channel in normalized space, clamped to [0, 1]; new for each hole.

    Each number follows from its row's seed and its place, so that every device draws the same.

    Parameters
    ----------
    mean, std
        Of RGB in [0, 1], to come back from normalized space.
    """

    mean: ThreeNumbers
    std: ThreeNumbers

    key_name: ClassVar[str] = "genattr.filler.noise.CountedNoise"  # its draws once were others
    stochastic: ClassVar[bool] = True
    is_light: ClassVar[bool] = True

    def fill(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        numbers = normals(seeds, images[0].numel(), images.device).view(images.shape)
        return (
            numbers.mul_(channels(self.std, images)).add_(channels(self.mean, images)).clamp_(0, 1)
        )
