"""Inpainting networks from TorchScript files, which contain their code: any architecture works."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from genattr import seeds
from genattr.assets.trust import consent
from genattr.assets.weights import files_hash, torchscript
from genattr.errors import UserError, require
from genattr.files import expanded
from genattr.filler.described import DescribedInpainter
from genattr.filler.inpainting import NetworkInpainter
from genattr.filler.wiring import check_arguments, joined
from genattr.ops.foreign import picked


@dataclass(frozen=True, kw_only=True)
class FileInpainter(NetworkInpainter):
    """A network that is a TorchScript file; a subclass says where the file is.

    Parameters
    ----------
    trust
        Whether a file that can run code may be opened.
    """

    trust: bool = field(metadata={"identity": False})

    @property
    @abstractmethod
    def file(self) -> Path:
        """The file."""

    @property
    def is_trusted(self) -> bool:
        """Whether the file may be opened, although it can run code."""
        return self.trust

    def build(self) -> nn.Module:
        return torchscript(self.file, str(self.file), self.is_trusted)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the file, as the code in it counts too."""
        return files_hash(self.file)


@dataclass(frozen=True, kw_only=True)
class TorchScriptInpainter(DescribedInpainter, FileInpainter):
    """A network saved by ``torch.jit.save``, with the conventions of its training.

    Parameters
    ----------
    arguments
        The network's arguments, in order: ``image``, ``mask``, or concatenated channels, such as
        ``image+mask`` or ``image+ones+mask``.
    output
        The image among several outputs: a position, or a name.
    draws
        It draws from PyTorch's global generator: each row then runs alone, from its own seed, and
        ``batch_size: auto`` is one.
    """

    arguments: Sequence[str]
    output: int | str
    draws: bool

    def __post_init__(self) -> None:
        require(bool(self.path), "filler=torchscript needs filler.path=/path/to/file.pt")
        require(self.file.is_file(), f"filler.path={self.path}: no such file")
        consent(self.source, self.trust)
        check_arguments(self.arguments, "filler.arguments")
        super().__post_init__()

    @property
    def file(self) -> Path:
        return expanded(str(self.path))

    @property
    def title(self) -> str:
        """Name of the file."""
        return self.file.stem

    @property
    def stochastic(self) -> bool:
        return self.draws

    @property
    def room(self) -> int:
        return 0 if self.draws else super().room

    def synthesize(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        if not self.draws:
            return self._call(images, hole)
        rows = zip(images.split(1), hole.split(1), seeds, strict=True)
        return torch.cat([self._drawn(image, mask, seed) for image, mask, seed in rows])

    def _drawn(self, image: Tensor, hole: Tensor, seed: int) -> Tensor:
        with seeds.fixed(seed, image.device):
            return self._call(image, hole)

    def _call(self, images: Tensor, hole: Tensor) -> Tensor:
        network: Any = self.network_on(images.device)
        inputs = [joined(argument, images, hole) for argument in self.arguments]
        try:
            outputs = network(*inputs)
        except (RuntimeError, torch.jit.Error) as error:
            raise UserError(_failure(self.path, inputs, error)) from error
        filled: Tensor = picked(outputs, self.output, "filler.output")
        return filled


def _failure(path: str | None, inputs: Sequence[Tensor], error: Exception) -> str:
    """Return a message with the shapes of the inputs and the last line of TorchScript's error."""
    shapes = ", ".join(str(tuple(tensor.shape)) for tensor in inputs)
    reason = str(error).strip().splitlines()[-1]
    return f"filler.path={path} fails on {shapes} (filler.arguments, filler.multiple): {reason}"
