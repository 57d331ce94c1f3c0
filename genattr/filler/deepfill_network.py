"""DeepFill-v1, the network of "Generative Image Inpainting with Contextual Attention" (CVPR 2018).

Two stages: a coarse guess, then a refinement in two branches, one of which copies from the rest of
the photo by contextual attention. Layers have the names of the authors' checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from genattr.filler.contextual_attention import contextual_attention, nearest

MULTIPLE = 8  # of height and width, in pixels


class Layer(NamedTuple):
    """One convolution.

    Attributes
    ----------
    name
        In the checkpoint.
    channels
        That come out.
    kernel, stride, dilation
        In pixels.
    doubled
        Its input is doubled in height and width first.
    activation
        What follows.
    """

    name: str
    channels: int
    kernel: int = 3
    stride: int = 1
    dilation: int = 1
    doubled: bool = False
    activation: Literal["elu", "relu", "none"] = "elu"


def _contracting(prefix: str, channels: Sequence[int]) -> list[Layer]:
    """Return the first six convolutions of an encoder, to a quarter of height and width."""
    return [
        Layer(f"{prefix}1", channels[0], kernel=5),
        Layer(f"{prefix}2_downsample", channels[1], stride=2),
        Layer(f"{prefix}3", channels[2]),
        Layer(f"{prefix}4_downsample", channels[3], stride=2),
        Layer(f"{prefix}5", 128),
        Layer(f"{prefix}6", 128),
    ]


def _dilated(prefix: str) -> list[Layer]:
    rates = enumerate((2, 4, 8, 16), start=7)
    return [Layer(f"{prefix}{number}_atrous", 128, dilation=rate) for number, rate in rates]


def _expanding(prefix: str) -> list[Layer]:
    """Return a decoder, back to the whole height and width and to three colors."""
    return [
        Layer(f"{prefix}11", 128),
        Layer(f"{prefix}12", 128),
        Layer(f"{prefix}13_upsample", 64, doubled=True),
        Layer(f"{prefix}14", 64),
        Layer(f"{prefix}15_upsample", 32, doubled=True),
        Layer(f"{prefix}16", 16),
        Layer(f"{prefix}17", 3, activation="none"),
    ]


COARSE = (*_contracting("conv", (32, 64, 64, 128)), *_dilated("conv"), *_expanding("conv"))
IMAGINED = (*_contracting("xconv", (32, 32, 64, 64)), *_dilated("xconv"))
MATCHED = (
    *_contracting("pmconv", (32, 32, 64, 128))[:-1],
    Layer("pmconv6", 128, activation="relu"),
)
COPIED = (Layer("pmconv9", 128), Layer("pmconv10", 128))
FINE = tuple(_expanding("allconv"))
PARTS = {
    "coarse": (5, COARSE),
    "imagined": (5, IMAGINED),
    "matched": (5, MATCHED),
    "copied": (128, COPIED),
    "fine": (256, FINE),
}  # channels that go in, layers


class Convolution(nn.Conv2d):
    """A layer, padded with zeros as TensorFlow's SAME: at stride 2, at the bottom and right alone.

    Parameters
    ----------
    layer
        What it does.
    channels
        That go in.
    """

    def __init__(self, layer: Layer, channels: int) -> None:
        super().__init__(
            channels,
            layer.channels,
            layer.kernel,
            layer.stride,
            padding="same" if layer.stride == 1 else 0,
            dilation=layer.dilation,
        )
        self.layer = layer

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, channels, H', W')."""
        if self.layer.doubled:
            features = functional.interpolate(features, scale_factor=2, mode="nearest")
        if self.layer.stride == 2:
            features = functional.pad(features, (0, 1, 0, 1))
        features = super().forward(features)
        if self.layer.activation == "none":
            return features
        activation = functional.elu if self.layer.activation == "elu" else functional.relu
        return activation(features, inplace=True)


class DeepFillNetwork(nn.Module):
    """Both stages, for inference."""

    coarse: nn.Sequential
    imagined: nn.Sequential
    matched: nn.Sequential
    copied: nn.Sequential
    fine: nn.Sequential

    def __init__(self) -> None:
        super().__init__()
        for part, (channels, layers) in PARTS.items():
            self.add_module(part, _chain(channels, layers))

    def forward(self, image: Tensor, hole: Tensor) -> Tensor:
        """Fill holes.

        Parameters
        ----------
        image
            (B, 3, H, W) BGR in [-1, 1], H and W multiples of 8.
        hole
            (B, 1, H, W), 1 = removed; what the image holds there does not matter.

        Returns
        -------
        (B, 3, H, W), equal to the image outside the hole.
        """
        visible = image * (1 - hole)
        guess = self.coarse_guess(visible, hole)
        refined = self.refine(guess * hole + visible, hole)
        return refined * hole + visible

    def coarse_guess(self, visible: Tensor, hole: Tensor) -> Tensor:
        """Run the first stage on a photo that is 0 in the hole."""
        guess: Tensor = self.coarse(with_hole(visible, hole))
        return guess.clamp(-1, 1)

    def refine(self, guessed: Tensor, hole: Tensor) -> Tensor:
        """Run the second stage on a photo that is guessed in the hole."""
        given = with_hole(guessed, hole)
        matched = self.matched(given)
        small = nearest(hole, hole.shape[-2] // 4, hole.shape[-1] // 4)
        copied = self.copied(contextual_attention(matched, matched, small))
        refined: Tensor = self.fine(torch.cat([self.imagined(given), copied], dim=1))
        return refined.clamp(-1, 1)


def with_hole(image: Tensor, hole: Tensor) -> Tensor:
    """Put together the five channels that both stages read: image, ones, hole."""
    return torch.cat([image, torch.ones_like(hole), hole], dim=1)


def _chain(channels: int, layers: Sequence[Layer]) -> nn.Sequential:
    chain = nn.Sequential()
    for layer in layers:
        chain.add_module(layer.name, Convolution(layer, channels))
        channels = layer.channels
    return chain


def variable_names() -> dict[str, str]:
    """Return the checkpoint's name of each convolution, by its name in the state dict."""
    names = {}
    for part, (_, layers) in PARTS.items():
        for layer in layers:
            inner = f"/{layer.name}_conv" if layer.doubled else ""
            names[f"{part}.{layer.name}"] = f"inpaint_net/{layer.name}{inner}"
    return names
