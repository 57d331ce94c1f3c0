"""The patch discriminator: tells fills from photos by texture and by structure."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = (64, 128, 256, 256, 256)  # at 1/2 .. 1/32 of the size
MIDDLE = 2  # index of the level that judges texture, at 1/8
SLOPE = 0.2  # of the leaky ReLU


class SpectralConv(nn.Conv2d):
    """A convolution whose weight, as a matrix, is divided by its largest singular value.

    That is estimated by one power iteration a pass, which is remembered in training mode.
    """

    u: Tensor

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.register_buffer("u", functional.normalize(torch.randn(self.out_channels), dim=0))

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, C, h, w) features."""
        weight = self.normalized_weight().to(features.dtype)
        bias = None if self.bias is None else self.bias.to(features.dtype)
        return functional.conv2d(features, weight, bias, self.stride, self.padding)

    def normalized_weight(self) -> Tensor:
        """Return the weight over the estimate of its largest singular value."""
        with torch.autocast(self.weight.device.type, enabled=False):
            matrix = self.weight.flatten(1)
            with torch.no_grad():
                right = functional.normalize(matrix.t() @ self.u, dim=0)
                left = functional.normalize(matrix @ right, dim=0)
                if self.training:
                    self.u.copy_(left)
            return self.weight / torch.dot(left, matrix @ right)


class Discriminator(nn.Module):
    """Logits of photos being whole, at 1/8 and 1/32 of the size."""

    def __init__(self) -> None:
        super().__init__()
        widths = (4, *CHANNELS)
        self.net = nn.ModuleList(
            SpectralConv(before, after, 4, 2, 1) for before, after in pairwise(widths)
        )
        self.mid = SpectralConv(CHANNELS[MIDDLE], CHANNELS[MIDDLE], 3, 1, 1)
        self.head8 = SpectralConv(CHANNELS[MIDDLE], 1, 3, 1, 1)
        self.head32 = SpectralConv(CHANNELS[-1], 1, 3, 1, 1)

    def forward(self, images: Tensor, hole: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Judge images, knowing where their holes were.

        Parameters
        ----------
        images
            (B, 3, H, W) in [-1, 1]; H and W multiples of 32.
        hole
            (B, 1, H, W) float, 1 = removed.

        Returns
        -------
        Logits (B, 1, H/8, W/8) and (B, 1, H/32, W/32), float32; the features of all levels.
        """
        features = torch.cat([images, hole * 2 - 1], dim=1)
        levels: list[Tensor] = []
        for layer in self.net:
            features = functional.leaky_relu(layer(features), SLOPE)
            levels.append(features)
        middle = functional.leaky_relu(self.mid(levels[MIDDLE]), SLOPE)
        return [self.head8(middle).float(), self.head32(features).float()], levels
