"""DeepFill-v2 once more, layer by layer as published, on random weights in the ports' files."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from tests.filler.seeded_deepfill import nhwc
from tests.filler.slow_attention import shrink, slow_attention

# The authors' name, the port's name, channels in, channels out, side of the kernel.
LAYERS = """
conv1 stage1.conv1 5 24 5
conv2_downsample stage1.down_block1.conv1_downsample 24 48 3
conv3 stage1.down_block1.conv2 48 48 3
conv4_downsample stage1.down_block2.conv1_downsample 48 96 3
conv5 stage1.down_block2.conv2 96 96 3
conv6 stage1.conv_bn1 96 96 3
conv7_atrous stage1.conv_bn2 96 96 3
conv8_atrous stage1.conv_bn3 96 96 3
conv9_atrous stage1.conv_bn4 96 96 3
conv10_atrous stage1.conv_bn5 96 96 3
conv11 stage1.conv_bn6 96 96 3
conv12 stage1.conv_bn7 96 96 3
conv13_upsample.conv stage1.up_block1.conv1_upsample.conv 96 48 3
conv14 stage1.up_block1.conv2 48 48 3
conv15_upsample.conv stage1.up_block2.conv1_upsample.conv 48 24 3
conv16 stage1.up_block2.conv2 24 12 3
conv17 stage1.conv_to_rgb 12 3 3
xconv1 stage2.b1_conv1 3 24 5
xconv2_downsample stage2.b1_down_block1.conv1_downsample 24 24 3
xconv3 stage2.b1_down_block1.conv2 24 48 3
xconv4_downsample stage2.b1_down_block2.conv1_downsample 48 48 3
xconv5 stage2.b1_down_block2.conv2 48 96 3
xconv6 stage2.b1_conv_bn1 96 96 3
xconv7_atrous stage2.b1_conv_bn2 96 96 3
xconv8_atrous stage2.b1_conv_bn3 96 96 3
xconv9_atrous stage2.b1_conv_bn4 96 96 3
xconv10_atrous stage2.b1_conv_bn5 96 96 3
pmconv1 stage2.b2_conv1 3 24 5
pmconv2_downsample stage2.b2_down_block1.conv1_downsample 24 24 3
pmconv3 stage2.b2_down_block1.conv2 24 48 3
pmconv4_downsample stage2.b2_down_block2.conv1_downsample 48 96 3
pmconv5 stage2.b2_down_block2.conv2 96 96 3
pmconv6 stage2.b2_conv_bn1 96 96 3
pmconv9 stage2.b2_conv_bn4 96 96 3
pmconv10 stage2.b2_conv_bn5 96 96 3
allconv11 stage2.conv_bn6 192 96 3
allconv12 stage2.conv_bn7 96 96 3
allconv13_upsample.conv stage2.up_block1.conv1_upsample.conv 96 48 3
allconv14 stage2.up_block1.conv2 48 48 3
allconv15_upsample.conv stage2.up_block2.conv1_upsample.conv 48 24 3
allconv16 stage2.up_block2.conv2 24 12 3
allconv17 stage2.conv_to_rgb 12 3 3
"""


def state(ported: bool) -> dict[str, Tensor]:
    """Draw weights under the names that the ports give them."""
    generator, drawn = torch.Generator().manual_seed(2019), {}
    for line in LAYERS.split("\n")[1:-1]:
        *names, given, channels, side = line.split()
        width = int(channels) * (1 if line.split()[0].endswith("conv17") else 2)
        shape = (width, int(given), int(side), int(side))
        weight = (
            torch.randn(shape, generator=generator) * 1.6 / (int(given) * int(side) ** 2) ** 0.5
        )
        name = f"{names[ported]}.conv"
        drawn[f"{name}.weight"] = weight
        drawn[f"{name}.bias"] = torch.randn(width, generator=generator) * 0.1
    return drawn


def write(folder: Path, ported: bool = False) -> Path:
    """Write a file as the ports' training script does, discriminator and all."""
    file = folder / "states.pth"
    torch.save({"G": state(ported), "D": {"conv1.weight": torch.zeros(1)}, "n_iter": 7}, file)
    return file


class Published:
    """The network as a recipe: one line a layer, in the order in which they run."""

    def __init__(self, ported: bool, fused: bool = True) -> None:
        self.ported, self.fused, self.tensors = ported, fused, state(ported)
        pairs = [line.split()[:2] for line in LAYERS.split("\n")[1:-1]]
        self.names = {own: (port if ported else own) for own, port in pairs}

    def convolve(self, name: str, x: Tensor) -> Tensor:
        stride = 2 if "downsample" in name else 1
        rate = {"7": 2, "8": 4, "9": 8, "10": 16}[name.split("conv")[1].split("_")[0]] if (
            "atrous" in name
        ) else 1  # fmt: skip
        if "upsample" in name:
            x = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        weight, bias = (self.tensors[f"{self.names[name]}.conv.{k}"] for k in ("weight", "bias"))
        reach = rate * (weight.shape[-1] - 1)
        before = reach // 2 if self.ported or stride == 1 else (reach - 1) // 2
        after = reach // 2 if self.ported or stride == 1 else reach - 1 - before
        x = functional.pad(x, (before, after, before, after))
        x = functional.conv2d(x, weight, bias, stride, dilation=rate)
        if name.endswith("conv17"):
            return x
        value, gate = x[:, : x.shape[1] // 2], x[:, x.shape[1] // 2 :]
        value = value.clamp(min=0) if name == "pmconv6" else functional.elu(value)
        return value / (1 + (-gate).exp())

    def run(self, prefix: str, x: Tensor, start: int = 0, stop: int = 99) -> Tensor:
        """Run the layers of a prefix, from one number to another."""
        for name in self.names:
            head, number = name.split("conv", 1)
            number = int(number.split("_")[0].split(".")[0])
            if head == prefix and start <= number <= stop:
                x = self.convolve(name, x)
        return x

    def attend(self, x: Tensor, hole: Tensor) -> Tensor:
        rows = []
        for row in range(len(x)):
            features, mask = nhwc(x[row : row + 1]), nhwc(hole[row : row + 1])
            small = mask[::4, ::4] if self.ported else shrink(mask, *features.shape[:2])
            found, _ = slow_attention(features, features, small, self.fused, self.ported)
            rows.append(torch.from_numpy(found).float().permute(2, 0, 1))
        return torch.stack(rows)

    def __call__(self, image: Tensor, hole: Tensor) -> Tensor:
        known = image * (1 - hole)
        ones = torch.ones_like(hole)
        guess = self.run("", torch.cat([known, ones, hole], 1)).tanh()
        x = guess * hole + known
        imagined = self.run("x", x)
        matched = self.run("pm", x, stop=6)
        copied = self.run("pm", self.attend(matched, hole), start=9)
        fine = self.run("all", torch.cat([imagined, copied], 1)).tanh()
        return fine * hole + known
