"""LightFill, the small inpainting network that comes along.

A smooth guess of the hole is made from the kept pixels alone, without parameters. A U-Net adds to
it: convolutions at 1/2, 1/4 and 1/8 of the size, attention at 1/16. Nothing is normalized over a
batch and nothing drawn. The names of its tensors are those of the weights that it was trained to.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

MULTIPLE = 16  # height and width must be multiples of it
ARCHITECTURE = "lightfill-1"  # what a file of weights must name
CHANNELS = (32, 64, 128, 256)  # at 1/2, 1/4, 1/8 and 1/16 of the size
HEADS = 8
DOWN_DILATIONS = (1, 2)  # of the blocks at 1/8, before attention
UP_DILATIONS = (4, 2, 1)  # and after it
MIXES = 3  # attention blocks
LEVELS = 4  # of the smooth guess
SPREADS = (9, 5, 3)  # sides of the windows, in cells of 1/16, that colors spread in: ever nearer
LEAST_WEIGHT = 1e-6


class LightFill(nn.Module):
    """The network, with random weights."""

    def __init__(self) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth = CHANNELS
        self.e1 = convolution(16, half)
        self.e2 = convolution(half, quarter, stride=2)
        self.e2b = convolution(quarter, quarter)
        self.e3 = convolution(quarter, eighth, stride=2)
        self.pre = nn.ModuleList(Residual(eighth, dilation) for dilation in DOWN_DILATIONS)
        self.down = convolution(eighth, sixteenth, stride=2)
        self.mix = nn.ModuleList(Mix(sixteenth, HEADS) for _ in range(MIXES))
        self.n4 = nn.LayerNorm(sixteenth)
        self.up4 = convolution(sixteenth, eighth, kernel=1)
        self.post = nn.ModuleList(Residual(eighth, dilation) for dilation in UP_DILATIONS)
        self.n3 = nn.LayerNorm(eighth)
        self.up3 = convolution(eighth, quarter, kernel=1)
        self.d2 = convolution(quarter, quarter)
        self.up2 = convolution(quarter, half, kernel=1)
        self.d1 = convolution(half, half)
        self.out = convolution(half, 12)
        self._initialize()

    def forward(self, images: Tensor, keep: Tensor) -> Tensor:
        """Return whole filled images, kept pixels guessed too.

        Parameters
        ----------
        images
            (B, 3, H, W) in [-1, 1]; H and W multiples of 16. Pixels of the hole are not read, but
            must be numbers.
        keep
            (B, 1, H, W) float, 1 = kept and 0 = removed.

        Returns
        -------
        (B, 3, H, W), about in [-1, 1].
        """
        base, hole = smooth_fill(images, keep), 1 - keep
        folded = functional.pixel_unshuffle(torch.cat([base, hole], dim=1), 2)
        half, quarter, eighth = self._encode(folded)
        eighth = self._mixed(eighth, functional.avg_pool2d(hole, MULTIPLE).flatten(1))
        added = self._decode(half, quarter, eighth)
        return base + functional.pixel_shuffle(added, 2).float()

    def _encode(self, folded: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (B, 16, H/2, W/2) to features at 1/2, 1/4 and 1/8 of the size."""
        half = functional.silu(self.e1(folded))
        quarter = functional.silu(self.e2b(functional.silu(self.e2(half))))
        eighth = self.e3(quarter)
        for block in self.pre:
            eighth = block(eighth)
        return half, quarter, eighth

    def _mixed(self, eighth: Tensor, hole: Tensor) -> Tensor:
        """Let far cells see each other, at 1/16.

        Parameters
        ----------
        eighth
            (B, C, H/8, W/8)
        hole
            (B, H/16 W/16), removed share of each cell.

        Returns
        -------
        As ``eighth``.
        """
        sixteenth = self.down(eighth)
        for block in self.mix:
            sixteenth = block(sixteenth, hole)
        mixed = self.up4(normalized(sixteenth, self.n4))
        eighth = eighth + functional.interpolate(mixed, scale_factor=2.0, mode="nearest")
        for block in self.post:
            eighth = block(eighth)
        return eighth

    def _decode(self, half: Tensor, quarter: Tensor, eighth: Tensor) -> Tensor:
        """Map features back to (B, 12, H/2, W/2): RGB of 2 x 2 pixels."""
        wide = doubled(self.up3(normalized(eighth, self.n3)))
        quarter = functional.silu(self.d2(wide + quarter)) + quarter
        wide = doubled(self.up2(quarter))
        half = functional.silu(self.d1(wide + half)) + half
        added: Tensor = self.out(half)
        return added

    @torch.no_grad()
    def _initialize(self) -> None:
        """Draw weights with which the network adds little to the smooth guess."""
        for layer in self.children():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.out.weight.mul_(0.02)
        for layer in residual_ends(self.modules()):
            layer.weight.mul_(0.3)


class Residual(nn.Module):
    """Adds to features at 1/8: normalization, dilated convolution, SiLU, 1 x 1 convolution."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.n = nn.LayerNorm(channels)
        self.a = convolution(channels, channels, dilation=dilation)
        self.b = convolution(channels, channels, kernel=1)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, C, h, w) to the same shape."""
        added: Tensor = self.b(functional.silu(self.a(normalized(features, self.n))))
        return features + added


class Mix(nn.Module):
    """Transformer block at 1/16: depthwise convolution, attention that distrusts holes, MLP."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.dw = convolution(channels, channels, groups=channels)
        self.n1 = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.n2 = nn.LayerNorm(channels)
        self.m1 = nn.Linear(channels, 2 * channels)
        self.m2 = nn.Linear(2 * channels, channels)
        self.distrust = nn.Parameter(torch.full((heads,), 2.0))

    def forward(self, features: Tensor, hole: Tensor) -> Tensor:
        """Map (B, C, h, w), with the removed share of each cell as (B, h w), to the same shape."""
        features = features + self.dw(features)
        batch, channels, height, width = features.shape
        tokens = features.permute(0, 2, 3, 1).reshape(batch, height * width, channels)
        tokens = tokens + self.proj(self._attend(self.n1(tokens), hole))
        tokens = tokens + self.m2(functional.silu(self.m1(self.n2(tokens))))
        mixed: Tensor = tokens.view(batch, height, width, channels).permute(0, 3, 1, 2)
        return mixed

    def _attend(self, tokens: Tensor, hole: Tensor) -> Tensor:
        """Let (B, T, C) tokens gather from each other, less from those that are holes."""
        batch, count, channels = tokens.shape
        depth = channels // self.heads
        parts = self.qkv(tokens).view(batch, count, 3, self.heads, depth)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        distrust = self.distrust.view(1, -1, 1, 1) * hole.view(batch, 1, 1, count)
        scores = query @ key.transpose(-1, -2) * depth**-0.5 - distrust.to(query.dtype)
        gathered: Tensor = scores.softmax(dim=-1).to(value.dtype) @ value
        return gathered.transpose(1, 2).reshape(batch, count, channels)


def smooth_fill(images: Tensor, keep: Tensor) -> Tensor:
    """Guess a hole from the kept pixels alone: push-pull, smooth, without parameters.

    Parameters
    ----------
    images
        (B, 3, H, W); H and W multiples of 16.
    keep
        (B, 1, H, W) float, 1 = kept and 0 = removed.

    Returns
    -------
    (B, 3, H, W); kept pixels as they were.
    """
    colors, weights = [images * keep], [keep]
    for _ in range(LEVELS):
        colors.append(functional.avg_pool2d(colors[-1], 2))
        weights.append(functional.avg_pool2d(weights[-1], 2))
    guess = _spread(colors[-1], weights[-1])
    for color, weight in zip(reversed(colors), reversed(weights), strict=True):
        if guess.shape[-2:] != color.shape[-2:]:
            guess = doubled(guess)
        guess = _toward(guess, color, weight, trust=4)
    return guess


def _spread(color: Tensor, weight: Tensor) -> Tensor:
    """Guess the coarsest cells: the mean of all, then of ever nearer ones where any are kept."""
    total = weight.mean((2, 3), keepdim=True).clamp_min(LEAST_WEIGHT)
    guess = color.mean((2, 3), keepdim=True) / total
    for side in SPREADS:
        near = functional.avg_pool2d(color, side, 1, side // 2)
        guess = _toward(guess, near, functional.avg_pool2d(weight, side, 1, side // 2), trust=9)
    return guess


def _toward(guess: Tensor, color: Tensor, weight: Tensor, trust: int) -> Tensor:
    """Take a cell's own color as far as ``trust`` times its kept share, at most wholly."""
    share = (trust * weight).clamp(max=1)
    return share * color / weight.clamp_min(LEAST_WEIGHT) + (1 - share) * guess


def convolution(
    channels: int, out: int, *, kernel: int = 3, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Conv2d:
    """Return a convolution that keeps the size, but for its stride."""
    padding = dilation * (kernel // 2)
    return nn.Conv2d(channels, out, kernel, stride, padding, dilation, groups)


def normalized(features: Tensor, norm: nn.LayerNorm) -> Tensor:
    """Normalize (B, C, h, w) features over the channels of each pixel."""
    normalized: Tensor = norm(features.permute(0, 2, 3, 1))
    return normalized.permute(0, 3, 1, 2)


def doubled(features: Tensor) -> Tensor:
    """Double height and width, bilinearly."""
    return functional.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)


def residual_ends(modules: Iterable[nn.Module]) -> Iterable[nn.Conv2d | nn.Linear]:
    """Yield the layers whose results are added to what came in."""
    for module in modules:
        if isinstance(module, Residual):
            yield module.b
        if isinstance(module, Mix):
            yield from (module.dw, module.proj, module.m2)
