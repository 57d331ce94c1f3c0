"""The network of EfficientNet-Lite: equal to timm's, whose import takes longer than a short run."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Literal, NamedTuple

from torch import Tensor, nn
from torch.nn import functional

CLASSES = 1000
STEM, HEAD = 32, 1280  # channels
Variant = Literal["lite0", "lite1", "lite2", "lite3", "lite4"]
SCALES: dict[Variant, tuple[float, float]] = {  # of channels, of depth
    "lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2), "lite3": (1.2, 1.4),
    "lite4": (1.4, 1.8),
}  # fmt: skip


class Stage(NamedTuple):
    """Blocks of one size, before scaling; the first of them has the stride."""

    blocks: int
    kernel: int
    stride: int
    channels: int


FIRST = Stage(1, 3, 1, 16)
MIDDLE = (
    Stage(2, 3, 2, 24), Stage(2, 5, 2, 40), Stage(3, 3, 2, 80), Stage(3, 5, 1, 112),
    Stage(4, 5, 2, 192),
)  # fmt: skip
LAST = Stage(1, 3, 1, 320)
EXPANSION = 6


class SameConv(nn.Conv2d):
    """A convolution with stride whose output has a pixel for every stride, as in TensorFlow."""

    def forward(self, maps: Tensor) -> Tensor:
        """Pad as much as is needed, the odd pixel below and on the right."""
        down, across = (
            max((math.ceil(side / self.stride[0]) - 1) * self.stride[0] + kernel - side, 0)
            for side, kernel in zip(maps.shape[-2:], self.kernel_size, strict=True)
        )
        edges = [across // 2, across - across // 2, down // 2, down - down // 2]
        return super().forward(functional.pad(maps, edges))


class Separable(nn.Module):
    """The first block: a depthwise and a pointwise convolution."""

    def __init__(self, before: int, after: int, kernel: int) -> None:
        super().__init__()
        self.conv_dw = _conv(before, before, kernel, groups=before)
        self.bn1 = _norm(before)
        self.act = nn.ReLU6(inplace=True)
        self.conv_pw = _conv(before, after)
        self.bn2 = _norm(after)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, before, h, w) to (B, after, h, w)."""
        maps = self.act(self.bn1(self.conv_dw(maps)))
        return self.bn2(self.conv_pw(maps))  # type: ignore[no-any-return]


class Inverted(nn.Module):
    """A block whose inside has six times the channels; what keeps its shape is added to itself."""

    def __init__(self, before: int, after: int, kernel: int, stride: int) -> None:
        super().__init__()
        inside = before * EXPANSION
        self.adds = before == after and stride == 1
        self.conv_pw = _conv(before, inside)
        self.bn1 = _norm(inside)
        self.act = nn.ReLU6(inplace=True)
        self.conv_dw = _conv(inside, inside, kernel, stride, groups=inside)
        self.bn2 = _norm(inside)
        self.conv_pwl = _conv(inside, after)
        self.bn3 = _norm(after)

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, before, h, w) to (B, after, h / stride, w / stride)."""
        wide = self.act(self.bn1(self.conv_pw(maps)))
        wide = self.act(self.bn2(self.conv_dw(wide)))
        narrow: Tensor = self.bn3(self.conv_pwl(wide))
        return narrow + maps if self.adds else narrow


def efficientnet_lite(variant: Variant) -> nn.Module:
    """Return the network with random weights.

    Names and order of the state dict are timm's, from which fingerprints are made.
    """
    width, depth = SCALES[variant]
    stages: list[nn.Module] = [nn.Sequential(Separable(STEM, _scaled(FIRST.channels, width), 3))]
    before = _scaled(FIRST.channels, width)
    for stage in (*(_deeper(stage, depth) for stage in MIDDLE), LAST):
        after = _scaled(stage.channels, width)
        strides = [stage.stride] + [1] * (stage.blocks - 1)
        inputs = [before] + [after] * (stage.blocks - 1)
        blocks = [Inverted(a, after, stage.kernel, b) for a, b in zip(inputs, strides, strict=True)]
        stages.append(nn.Sequential(*blocks))
        before = after
    parts: dict[str, nn.Module] = {
        "conv_stem": _conv(3, STEM, 3, 2),
        "bn1": _norm(STEM),
        "act1": nn.ReLU6(inplace=True),
        "blocks": nn.Sequential(*stages),
        "conv_head": _conv(before, HEAD),
        "bn2": _norm(HEAD),
        "act2": nn.ReLU6(inplace=True),
        "global_pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "classifier": nn.Linear(HEAD, CLASSES),
    }
    return nn.Sequential(OrderedDict(parts))


def _deeper(stage: Stage, depth: float) -> Stage:
    return stage._replace(blocks=math.ceil(stage.blocks * depth))


def _scaled(channels: int, width: float) -> int:
    """Scale a number of channels to a multiple of eight, by a tenth too few at most."""
    wanted = channels * width
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


def _conv(before: int, after: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    if stride > 1:
        return SameConv(before, after, kernel, stride, groups=groups, bias=False)
    padding = kernel // 2
    return nn.Conv2d(before, after, kernel, padding=padding, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)
