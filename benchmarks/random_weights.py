"""Architectures without their weights: what they paint means nothing, their time is real."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from genattr.filler.inpainting import Convention, NetworkInpainter


def deepfill() -> nn.Module:
    from genattr.filler._deepfill.network import DeepFillNetwork

    return DeepFillNetwork()


ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {"deepfill": deepfill}


@dataclass(frozen=True, kw_only=True)
class RandomWeights(NetworkInpainter):
    """A network of the project with normal random weights."""

    architecture: str

    @property
    def convention(self) -> Convention:
        return Convention(-1, 1, bgr=True, multiple=8)

    def build(self) -> nn.Module:
        network = ARCHITECTURES[self.architecture]()
        for module in network.modules():
            if isinstance(module, nn.Conv2d):  # values neither vanish nor explode on their way
                nn.init.normal_(module.weight, std=1.3 / math.sqrt(module.weight[0].numel()))
        return network

    def synthesize(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        return self.network_on(images.device)(images, hole)


def inpainter(architecture: str, context: int | None = None, size: int = 256) -> RandomWeights:
    return RandomWeights(
        architecture=architecture, size=size, dilate=0, context=context, batch_size=1
    )
