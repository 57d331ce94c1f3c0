"""Noise: independent normal pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from genattr.filler.base import PlainFiller, channels
from genattr.parameters import ThreeNumbers


@dataclass(frozen=True)
class Noise(PlainFiller):
    """N(0, 1) per pixel and channel in normalized space, clamped to [0, 1]; new for each hole.

    Parameters
    ----------
    mean, std
        Of RGB in [0, 1], to come back from normalized space.
    """

    mean: ThreeNumbers
    std: ThreeNumbers

    stochastic: ClassVar[bool] = True
    is_light: ClassVar[bool] = True

    def fill(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        draws = [
            torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(seed))
            for seed in seeds
        ]
        noise = torch.stack(draws).to(images.device)
        return (noise * channels(self.std, images) + channels(self.mean, images)).clamp(0, 1)
