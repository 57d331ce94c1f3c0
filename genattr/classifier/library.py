"""Base of classifiers from a library's collection: a name, and the model's own defaults."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import nn

from genattr.assets.weights import load_into
from genattr.classifier.base import NetworkClassifier, Normalization, Scale, Side
from genattr.errors import require


@dataclass(frozen=True, kw_only=True)
class LibraryClassifier(NetworkClassifier):
    """A model by its name in a library.

    Parameters
    ----------
    name
        The library's name of the model.
    checkpoint
        A local file with the model's state dict (.safetensors or .pth), instead of a download.
    input_size, mean, std
        None: the model's own.
    """

    name: str
    checkpoint: str | None
    input_size: Side | None  # type: ignore[assignment]
    mean: Normalization | None  # type: ignore[assignment]
    std: Scale | None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        for key, value in self.defaults().items():
            if getattr(self, key) is None:
                object.__setattr__(self, key, value)
        super().__post_init__()

    @property
    def title(self) -> str:
        return self.name

    @abstractmethod
    def defaults(self) -> Mapping[str, Any]:
        """Return the model's own input_size, mean and std; UserError if there is no such model."""

    def check_name(self, name: str, names: Sequence[str]) -> None:
        """Refuse a name that the library does not have, and suggest similar ones."""
        close = get_close_matches(name, names, n=3)
        hint = f"; did you mean {', '.join(close)}?" if close else ""
        require(name in names, f"classifier.name={self.name}: no such model{hint}")

    def with_checkpoint(self, network: nn.Module) -> nn.Module:
        """Load the local checkpoint if there is one; otherwise the network stays as it is."""
        if self.checkpoint is not None:
            load_into(network, Path(self.checkpoint).expanduser(), self.title)
        return network
