"""LaMa: resolution-robust large mask inpainting with Fourier convolutions (WACV 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from genattr.assets.download import RemoteFile, fetch
from genattr.assets.trust import consent, is_known
from genattr.errors import require
from genattr.files import expanded
from genattr.filler.described import CheckedInpainter, rising
from genattr.filler.inpainting import Convention
from genattr.filler.torchscript import FileInpainter
from genattr.protocols import Asset

UNKNOWN = "it can run code of its own, and its sha256 is not that of filler.weights"


@dataclass(frozen=True, kw_only=True)
class Lama(CheckedInpainter, FileInpainter):
    """Its authors' network "big", as the public TorchScript file.

    Parameters
    ----------
    weights
        Where the file is fetched from, at first use.
    checkpoint
        A local file with it, instead of a download.
    """

    weights: RemoteFile = field(metadata={"identity": False})
    checkpoint: str | None = field(metadata={"identity": False})

    fetches: ClassVar[bool] = True

    def __post_init__(self) -> None:
        local = self.checkpoint is None or expanded(self.checkpoint).is_file()
        require(local, f"filler.checkpoint={self.checkpoint}: no such file")
        if self.checkpoint:
            consent(self.source, self.is_trusted, UNKNOWN)
        super().__post_init__()

    @property
    def assets(self) -> Sequence[Asset]:
        return () if self.checkpoint else (self.weights,)

    @cached_property
    def file(self) -> Path:
        return expanded(self.checkpoint) if self.checkpoint else fetch(self.weights)

    @cached_property
    def is_trusted(self) -> bool:
        """Whether the user trusts the file, or it has the hash of the configuration."""
        return self.trust or is_known(self.file, self.weights.sha256)

    @property
    def source(self) -> str:
        return f"filler.checkpoint={self.file}"

    @property
    def convention(self) -> Convention:
        output = None if self.output_range is None else rising("output_range", self.output_range)
        return Convention(multiple=8, output=output)

    def synthesize(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        filled: Tensor = self.network_on(images.device)(images, hole)
        return filled
