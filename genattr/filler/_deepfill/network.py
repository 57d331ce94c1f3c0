"""DeepFill-v1, the network of "Generative Image Inpainting with Contextual Attention" (CVPR 2018).

Two stages: a coarse guess, then a refinement in two branches, one of which copies from the rest of
the photo by contextual attention. Layers have the names of the authors' checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from genattr.filler._deepfill.contextual_attention import contextual_attention, nearest

MULTIPLE = 8  # of height and width, in pixels


class Layer(NamedTuple):
    """One convolution.

    Attributes
    ----------
    name
        In the checkpoint.
    channels
        Of the output.
    kernel, stride, dilation
        In pixels.
    doubled
        Its input is doubled in height and width first.
    activation
        Applied to the output.
    """

    name: str
    channels: int
    kernel: int = 3
    stride: int = 1
    dilation: int = 1
    doubled: bool = False
    activation: Literal["elu", "relu", "none"] = "elu"


Part = tuple[int, tuple[Layer, ...]]  # input channels, layers


def parts(deep: int, refined: int) -> dict[str, Part]:
    """Return the layers of both stages.

    Parameters
    ----------
    deep
        Channels where the map is smallest.
    refined
        Channels that the second stage reads.
    """
    half, quarter = deep // 2, deep // 4
    coarse = _contracting("conv", (quarter, half, half, deep), deep)
    imagined = _contracting("xconv", (quarter, quarter, half, half), deep)
    matched = _contracting("pmconv", (quarter, quarter, half, deep), deep)
    matched[-1] = matched[-1]._replace(activation="relu")
    return {
        "coarse": (5, (*coarse, *_dilated("conv", deep), *_expanding("conv", deep))),
        "imagined": (refined, (*imagined, *_dilated("xconv", deep))),
        "matched": (refined, tuple(matched)),
        "copied": (deep, (Layer("pmconv9", deep), Layer("pmconv10", deep))),
        "fine": (2 * deep, tuple(_expanding("allconv", deep))),
    }


def _contracting(prefix: str, channels: Sequence[int], deep: int) -> list[Layer]:
    """Return the first six convolutions of an encoder, to a quarter of height and width."""
    return [
        Layer(f"{prefix}1", channels[0], kernel=5),
        Layer(f"{prefix}2_downsample", channels[1], stride=2),
        Layer(f"{prefix}3", channels[2]),
        Layer(f"{prefix}4_downsample", channels[3], stride=2),
        Layer(f"{prefix}5", deep),
        Layer(f"{prefix}6", deep),
    ]


def _dilated(prefix: str, deep: int) -> list[Layer]:
    rates = enumerate((2, 4, 8, 16), start=7)
    return [Layer(f"{prefix}{number}_atrous", deep, dilation=rate) for number, rate in rates]


def _expanding(prefix: str, deep: int) -> list[Layer]:
    """Return a decoder, back to the whole height and width and to three colors."""
    return [
        Layer(f"{prefix}11", deep),
        Layer(f"{prefix}12", deep),
        Layer(f"{prefix}13_upsample", deep // 2, doubled=True),
        Layer(f"{prefix}14", deep // 2),
        Layer(f"{prefix}15_upsample", deep // 4, doubled=True),
        Layer(f"{prefix}16", deep // 8),
        Layer(f"{prefix}17", 3, activation="none"),
    ]


PARTS = parts(deep=128, refined=5)


class Convolution(nn.Conv2d):
    """A layer, padded with zeros as TensorFlow's SAME: at stride 2, at the bottom and right alone.

    Parameters
    ----------
    layer
        Its description.
    channels
        Of the input.
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
        return activated(features, self.layer)


def activated(features: Tensor, layer: Layer) -> Tensor:
    """Apply a layer's activation in place."""
    if layer.activation == "none":
        return features
    activation = functional.elu if layer.activation == "elu" else functional.relu
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
            self.add_module(part, chain(channels, layers, Convolution))

    def forward(self, image: Tensor, hole: Tensor) -> Tensor:
        """Fill holes.

        Parameters
        ----------
        image
            (B, 3, H, W) BGR in [-1, 1], H and W multiples of 8.
        hole
            (B, 1, H, W), 1 = removed; the image's content there does not matter.

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
        features = with_hole(guessed, hole)
        matched = self.matched(features)
        small = nearest(hole, hole.shape[-2] // 4, hole.shape[-1] // 4)
        copied = self.copied(contextual_attention(matched, matched, small))
        refined: Tensor = self.fine(torch.cat([self.imagined(features), copied], dim=1))
        return refined.clamp(-1, 1)


def with_hole(image: Tensor, hole: Tensor) -> Tensor:
    """Concatenate the five channels that both stages read: image, ones, hole."""
    return torch.cat([image, torch.ones_like(hole), hole], dim=1)


def chain(
    channels: int, layers: Sequence[Layer], build: Callable[[Layer, int], nn.Module]
) -> nn.Sequential:
    """Build layers one after the other, under their names."""
    built = nn.Sequential()
    for layer in layers:
        built.add_module(layer.name, build(layer, channels))
        channels = layer.channels
    return built


def variable_names() -> dict[str, str]:
    """Return the checkpoint's name of each convolution, by its name in the state dict."""
    names = {}
    for part, (_, layers) in PARTS.items():
        for layer in layers:
            inner = f"/{layer.name}_conv" if layer.doubled else ""
            names[f"{part}.{layer.name}"] = f"inpaint_net/{layer.name}{inner}"
    return names
