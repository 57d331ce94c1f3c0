"""Base of classifiers from a library's collection: a name, and the model's own defaults."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from genattr.assets.weights import classes_of, misfit, state_for
from genattr.classifier.base import NetworkClassifier, Normalization, Scale, Side
from genattr.errors import UserError, did_you_mean, nearest, require
from genattr.files import expanded
from genattr.parameters import Count


@dataclass(frozen=True, kw_only=True)
class LibraryClassifier(NetworkClassifier):
    """A model by its name in a library.

    Parameters
    ----------
    name
        The library's name of the model.
    num_classes
        Of the checkpoint, where it was fine-tuned to other classes. None: the library's own.
    checkpoint
        A local file with the model's weights (.safetensors or .pth), instead of a download.
    checkpoint_entry
        Which of the file's entries, such as ``model_ema``. None: the one that fits, and the plain
        weights if there are averaged ones too.
    input_size, mean, std
        None: the model's own.
    """

    name: str
    num_classes: Count | None = field(metadata={"identity": False})  # the weights tell it
    checkpoint: str | None
    checkpoint_entry: str | None = field(metadata={"identity": False})
    input_size: Side | None  # type: ignore[assignment]
    mean: Normalization | None  # type: ignore[assignment]
    std: Scale | None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        for key, value in self.defaults().items():
            if getattr(self, key) is None:
                object.__setattr__(self, key, self._for_channels(value))
        super().__post_init__()
        own = self.pretrained_classes
        require(
            self.checkpoint is not None
            or self.num_classes is None
            or own in (None, self.num_classes),
            f"classifier.num_classes={self.num_classes}: the weights of {self.name} have {own} "
            "classes, and another head would be random: give classifier.checkpoint=/path/to/file",
        )

    def _for_channels(self, value: Any) -> Any:
        """Average the mean and std of three channels for a network of one."""
        is_gray = self.channels == "gray" and not isinstance(value, int)
        return [sum(value) / len(value)] if is_gray else value

    @property
    def title(self) -> str:
        return self.name

    @abstractmethod
    def defaults(self) -> Mapping[str, Any]:
        """Return the model's own input_size, mean and std; UserError if there is no such model."""

    @property
    @abstractmethod
    def pretrained_classes(self) -> int | None:
        """Number of classes of the library's weights; None: random weights are asked for."""

    def check_name(self, name: str, names: Sequence[str]) -> None:
        """Refuse a name that the library does not have, and suggest similar ones."""
        hint = did_you_mean(nearest(name, names))
        require(name in names, f"classifier.name={self.name}: no such model{hint}")

    def with_checkpoint(self, network: nn.Module) -> nn.Module:
        """Load the local checkpoint if there is one; otherwise the network stays as it is."""
        if self.checkpoint is None:
            return network
        state = self.given(network)
        try:
            network.load_state_dict(state)
        except (RuntimeError, ValueError) as error:
            raise self.misfit(network, state, self.file) from error
        return network

    @property
    def file(self) -> Path:
        """The local checkpoint."""
        return expanded(str(self.checkpoint))

    def given(self, network: nn.Module) -> dict[str, Tensor]:
        """Return the checkpoint's state dict for a network of this model."""
        return state_for(network, self.file, self.checkpoint_entry, "classifier.checkpoint_entry")

    def misfit(self, network: nn.Module, state: Mapping[str, Tensor], file: Path) -> UserError:
        """Return the error of a file that does not fit; if only the head differs, with the key."""
        count = classes_of(network, state)
        hint = "" if count is None else f": try classifier.num_classes={count}"
        return UserError(f"{file} does not fit {self.title}: {misfit(network, state)}{hint}")
