"""LightFill, the inpainting network that comes along."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from genattr.filler._lightfill import weights
from genattr.filler._lightfill.network import MULTIPLE
from genattr.filler.base import IMAGENET_MEAN, channels
from genattr.filler.inpainting import Convention, NetworkInpainter, as_many
from genattr.protocols import Asset

PHOTO = 224 * 224  # pixels that the network sees at once on a CPU, where more is not faster
MANY = 32  # photos that it sees at once on a GPU, and windows on a CPU

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LightFillInpainter(NetworkInpainter):
    """A small generative network, trained for this project; its weights are not for commerce.

    Small holes look real, large ones get texture rather than objects. A photo or window that is
    removed whole becomes gray.

    On a CPU the network sees as many windows at once, a power of two, as have together no more
    pixels than a 224 px photo: four of 96 or 112 px, two of 128 px. So a single hole never costs
    more than a fill that sees such a photo whole. On a GPU, ``batch_size: auto`` allows 32 times
    as many pixels; a number says how many windows, and limits those of a CPU.

    Parameters
    ----------
    checkpoint
        A file that ``python -m genattr.training`` wrote; None: the weights that come along.
    """

    checkpoint: str | None = field(metadata={"identity": False})

    is_light: ClassVar[bool] = True

    @property
    def assets(self) -> Sequence[Asset]:
        return () if self.checkpoint else (weights.SHIPPED,)

    def __post_init__(self) -> None:
        if self.checkpoint is not None:
            weights.check(self.checkpoint)
        super().__post_init__()

    def build(self) -> nn.Module:
        if self.checkpoint is None:
            log.info(
                "filler=lightfill: its weights are %s, not for commercial use; filler=mirror is"
                " free for it",
                weights.LICENSE,
            )
        network = weights.load(self.checkpoint)
        return network.to(memory_format=torch.channels_last)

    @property
    def terms(self) -> str:
        return f"{super().terms}, not for commercial use" if self.assets else ""

    @property
    def in_words(self) -> str:
        return (
            "A small network continues what surrounds a hole into it. Small holes look real, large "
            "ones get texture rather than objects."
        )

    @property
    def convention(self) -> Convention:
        return Convention(-1, 1, keep=True, multiple=MULTIPLE, blank=0.5, removed_beyond=True)

    @property
    def room(self) -> int:
        return MANY * PHOTO

    def together(self, height: int, width: int, device: torch.device) -> int:
        if device.type != "cpu":
            return super().together(height, width, device)
        limit = MANY if self.batch_size == "auto" else self.batch_size
        return min(as_many(height, width, PHOTO), limit)

    def fill(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        touched = hole.flatten(1).any(dim=1)[:, None, None, None]
        return super().fill(images, hole, seeds).where(touched, images)

    def synthesize(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        filled: Tensor = self.network_on(images.device)(images, hole)
        return filled

    def _run(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        filled = super()._run(images, hole, seeds)
        whole = hole.flatten(1).all(dim=1)[:, None, None, None]
        return channels(IMAGENET_MEAN, filled).where(whole, filled)
