"""DeepFill-v2: inpainting of free-form holes with gated convolutions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from genattr.assets.weights import load_state_dict, misfit
from genattr.errors import UserError, require
from genattr.files import expanded
from genattr.filler._deepfill import v2_network as gated
from genattr.filler._deepfill.network import MULTIPLE
from genattr.filler.inpainting import Convention, NetworkInpainter


@dataclass(frozen=True, kw_only=True)
class DeepFillV2(NetworkInpainter):
    """Free-form image inpainting with gated convolution (Yu et al., ICCV 2019).

    The network is built from the publication, and takes the state dicts of the conversions to
    PyTorch that name layers as the authors do (``conv1.conv.weight``: their TensorFlow weights) or
    by blocks (``stage1.conv1.conv.weight``: trained in PyTorch, with its padding). The arithmetic
    is tested against a second implementation on random weights. It has not been compared with the
    authors' own program, and no trained weights have been run.

    Parameters
    ----------
    checkpoint
        A local file of tensors, ``.pth`` or ``.safetensors``.
    channels
        ``rgb``, as the conversions' scripts hand photos over, or ``bgr``, as the authors' does.
    fuse
        Attention counts the neighbors of similar patches too, as in the publication.
    """

    checkpoint: str | None = field(metadata={"identity": False})
    channels: Literal["rgb", "bgr"]
    fuse: bool

    def __post_init__(self) -> None:
        require(
            self.checkpoint is not None, "filler=deepfill_v2 needs filler.checkpoint=/path/to.pth"
        )
        require(self._file.is_file(), f"filler.checkpoint={self.checkpoint}: no such file")
        super().__post_init__()

    @property
    def _file(self) -> Path:
        return expanded(str(self.checkpoint))

    @cached_property
    def _state(self) -> Mapping[str, Tensor]:
        return load_state_dict(self._file)

    def build(self) -> nn.Module:
        state = gated.translated(self._state)
        network = gated.DeepFillV2Network(ported=gated.is_ported(self._state), fused=self.fuse)
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            problem = misfit(network, state)
            raise UserError(f"{self._file} does not fit DeepFill-v2: {problem}") from error
        return network

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the weights, and of how the network pads."""
        style = "ported" if gated.is_ported(self._state) else "original"
        return f"{style}-{super().fingerprint}"

    @property
    def convention(self) -> Convention:
        return Convention(low=-1, high=1, bgr=self.channels == "bgr", multiple=MULTIPLE, blank=0.5)

    def synthesize(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        filled: Tensor = self.network_on(images.device)(images, hole)
        return filled
