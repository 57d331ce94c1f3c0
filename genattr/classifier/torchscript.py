"""A network from a TorchScript file, which contains its code: any architecture works."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from genattr.assets.trust import consent
from genattr.assets.weights import files_hash, torchscript
from genattr.classifier.base import NetworkClassifier
from genattr.errors import require
from genattr.files import expanded


@dataclass(frozen=True, kw_only=True)
class TorchScriptClassifier(NetworkClassifier):
    """A file of ``torch.jit.save``: (B, 3, D, D) normalized images to (B, classes).

    Parameters
    ----------
    path
        The file that ``torch.jit.save`` wrote.
    trust
        Whether a file that can run code may be opened.
    """

    path: str | None = field(metadata={"identity": False})
    trust: bool = field(metadata={"identity": False})

    def __post_init__(self) -> None:
        require(bool(self.path), "classifier=torchscript needs classifier.path=/path/to/file.pt")
        require(self._file.is_file(), f"classifier.path={self.path}: no such file")
        consent(f"classifier.path={self.path}", self.trust)
        super().__post_init__()

    @property
    def _file(self) -> Path:
        return expanded(str(self.path))

    @property
    def title(self) -> str:
        return self._file.stem

    def build(self) -> nn.Module:
        return torchscript(self._file, f"classifier.path={self.path}", self.trust)

    def hash_of(self, network: nn.Module) -> str:
        """Hash the file, as the code in it counts too."""
        return files_hash(self._file)
