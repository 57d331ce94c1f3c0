"""DeepFill-v2, the network of "Free-Form Image Inpainting with Gated Convolution" (ICCV 2019).

The two stages of DeepFill-v1 with fewer channels, where every convolution but the last is gated,
and the second stage does not get the hole as input.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from genattr.filler._deepfill.contextual_attention import contextual_attention, first, nearest
from genattr.filler._deepfill.network import Layer, activated, chain, parts, with_hole

PARTS = parts(deep=96, refined=3)
PORTED = "stage1.conv1.conv.weight"  # is in the checkpoints of the network trained in PyTorch
BLOCKS = {
    "1": "conv1",
    "2_downsample": "down_block1.conv1_downsample",
    "3": "down_block1.conv2",
    "4_downsample": "down_block2.conv1_downsample",
    "5": "down_block2.conv2",
    "6": "conv_bn1",
    "7_atrous": "conv_bn2",
    "8_atrous": "conv_bn3",
    "9_atrous": "conv_bn4",
    "10_atrous": "conv_bn5",
    "9": "conv_bn4",
    "10": "conv_bn5",
    "11": "conv_bn6",
    "12": "conv_bn7",
    "13_upsample": "up_block1.conv1_upsample",
    "14": "up_block1.conv2",
    "15_upsample": "up_block2.conv1_upsample",
    "16": "up_block2.conv2",
    "17": "conv_to_rgb",
}  # names of the layers in those checkpoints, by their number
STAGES = {"conv": "stage1.", "xconv": "stage2.b1_", "pmconv": "stage2.b2_", "allconv": "stage2."}


class GatedConvolution(nn.Conv2d):
    """A layer whose output is multiplied by a learned gate in (0, 1), if it has an activation.

    Parameters
    ----------
    layer
        Its description; its channels are those after the gate.
    channels
        Of the input.
    symmetric
        Zeros on all sides, as PyTorch pads; False: as TensorFlow's SAME, which at stride 2 pads
        the bottom and the right alone.
    """

    def __init__(self, layer: Layer, channels: int, *, symmetric: bool) -> None:
        gated = layer.activation != "none"
        uneven = layer.stride == 2 and not symmetric
        super().__init__(
            channels,
            layer.channels * (2 if gated else 1),
            layer.kernel,
            layer.stride,
            padding=0 if uneven else layer.dilation * (layer.kernel // 2),
            dilation=layer.dilation,
        )
        self.layer, self.gated, self.uneven = layer, gated, uneven

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, channels, H', W')."""
        if self.layer.doubled:
            features = functional.interpolate(features, scale_factor=2, mode="nearest")
        if self.uneven:
            features = functional.pad(features, (0, 1, 0, 1))
        features = super().forward(features)
        if not self.gated:
            return features
        values, gate = features.chunk(2, dim=1)
        return activated(values, self.layer) * gate.sigmoid()


class DeepFillV2Network(nn.Module):
    """Both stages, for inference.

    Parameters
    ----------
    ported
        Pad and halve as the network that others trained in PyTorch, not as its authors'.
    fused
        Attention counts the neighbors of similar patches too.
    """

    coarse: nn.Sequential
    imagined: nn.Sequential
    matched: nn.Sequential
    copied: nn.Sequential
    fine: nn.Sequential

    def __init__(self, *, ported: bool, fused: bool) -> None:
        super().__init__()
        self.ported, self.fused = ported, fused
        for part, (channels, layers) in PARTS.items():
            self.add_module(part, chain(channels, layers, self._convolution))

    def _convolution(self, layer: Layer, channels: int) -> nn.Module:
        return GatedConvolution(layer, channels, symmetric=self.ported)

    def forward(self, image: Tensor, hole: Tensor) -> Tensor:
        """Fill holes; as ``DeepFillNetwork.forward``."""
        visible = image * (1 - hole)
        guess = self.coarse(with_hole(visible, hole)).tanh()
        guessed = guess * hole + visible
        attended = self._attend(self.matched(guessed), hole)
        both = torch.cat([self.imagined(guessed), self.copied(attended)], dim=1)
        refined: Tensor = self.fine(both).tanh()
        return refined * hole + visible

    def _attend(self, matched: Tensor, hole: Tensor) -> Tensor:
        shrink = first if self.ported else nearest
        small = shrink(hole, *matched.shape[-2:])
        return contextual_attention(matched, matched, small, fused=self.fused, ported=self.ported)


def is_ported(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict belongs to the network that was trained in PyTorch."""
    return PORTED in state


def names_in(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Return each layer's name in a state dict, by its name in this network."""
    names = {}
    for part, (_, layers) in PARTS.items():
        for layer in layers:
            prefix = _ported_name(layer.name) if is_ported(state) else layer.name
            names[f"{part}.{layer.name}"] = (
                f"{prefix}.conv.conv" if layer.doubled else f"{prefix}.conv"
            )
    return names


def _ported_name(layer: str) -> str:
    """Translate such as ``pmconv2_downsample`` into ``stage2.b2_down_block1.conv1_downsample``."""
    prefix = layer[: layer.index("conv") + 4]
    return STAGES[prefix] + BLOCKS[layer.removeprefix(prefix)]


def translated(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a known conversion's tensors to those of ``DeepFillV2Network``; others are dropped."""
    return {
        f"{layer}.{kind}": state[f"{name}.{kind}"]
        for layer, name in names_in(state).items()
        for kind in ("weight", "bias")
        if f"{name}.{kind}" in state
    }
