"""DeepFill-v1, the generative inpainter of the paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genattr.errors import require
from genattr.filler._deepfill import checkpoint as deepfill_checkpoint
from genattr.filler._deepfill.checkpoint import OTHERS, Source
from genattr.filler._deepfill.network import MULTIPLE, DeepFillNetwork
from genattr.filler.inpainting import Convention, NetworkInpainter
from genattr.protocols import Asset


@dataclass(frozen=True, kw_only=True)
class DeepFill(NetworkInpainter):
    """Generative image inpainting with contextual attention (Yu et al., CVPR 2018).

    The fill is the photo at the network's size with the hole filled in, resized back, as in the
    paper; the rim of the hole is a blend of both. Each hole is binarized at 0.5, where the
    authors' scripts use the middle between the extremes of a whole batch.

    Parameters
    ----------
    weights
        The official release: ``imagenet``, ``places2`` or ``celeba``; any other weights are
        refused. None: any weights of this network, from a checkpoint.
    checkpoint
        A local folder with the two files of a TensorFlow checkpoint, instead of a download.
    source
        Where the official releases are fetched from, at first use.
    backend
        ``pytorch``, or ``tensorflow``, which runs on the device that it chooses.
    rounding
        Photo and result are rounded to 8 bits, as in the authors' scripts.
    """

    weights: Literal["imagenet", "places2", "celeba"] | None = field(metadata={"identity": False})
    checkpoint: str | None = field(metadata={"identity": False})
    source: Source = field(metadata={"identity": False})
    backend: Literal["pytorch", "tensorflow"]
    rounding: bool

    fetches: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(
            self.weights is not None or self.checkpoint is not None,
            f"filler.weights=null needs filler.checkpoint=<folder>: {OTHERS}",
        )
        super().__post_init__()

    @property
    def assets(self) -> Sequence[Asset]:
        return () if self.checkpoint else self.source.files(str(self.weights))

    @cached_property
    def prefix(self) -> Path:
        """Common prefix of the checkpoint's files."""
        if self.checkpoint:
            return deepfill_checkpoint.local_prefix(self.checkpoint)
        return self.source.fetch(str(self.weights))

    def build(self) -> nn.Module:
        network = DeepFillNetwork()
        network.load_state_dict(deepfill_checkpoint.read(self.prefix, self.weights))
        return network

    @property
    def convention(self) -> Convention:
        return Convention(low=-1, high=1, bgr=True, multiple=MULTIPLE, blank=0.5)

    def synthesize(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        if self.rounding:
            return truncated(self._complete(leveled(images), hole))
        return self._complete(images, hole)

    def _complete(self, images: Tensor, hole: Tensor) -> Tensor:
        if self.backend == "pytorch":
            completed: Tensor = self.network_on(images.device)(images, hole)
            return completed
        arrays = (part.permute(0, 2, 3, 1).contiguous().cpu().numpy() for part in (images, hole))
        return torch.from_numpy(self._graph(*arrays)).permute(0, 3, 1, 2)

    @cached_property
    def _graph(self) -> Callable[..., NDArray[np.float32]]:
        """The network in TensorFlow, once the checkpoint has been verified."""
        from genattr.filler._deepfill import tensorflow

        _ = self.network
        return tensorflow.load(self.prefix)

    def _framed(self, images: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
        frame, wanted = super()._framed(images, hole)
        return (frame * 255).round() / 255 if self.rounding else frame, wanted


def leveled(images: Tensor) -> Tensor:
    """Recompute images in [-1, 1] from their 256 levels, bit-equal to the authors' graph.

    This makes ``truncated`` lower the same levels by one as that graph does: 1 to 47.
    """
    return ((images + 1) * 127.5).round() * (1 / 127.5) - 1


def truncated(images: Tensor) -> Tensor:
    """Truncate images in [-1, 1] to 8 bits without rounding, as the authors' graph does."""
    return ((images + 1) * 127.5).clamp(0, 255).floor() / 127.5 - 1
