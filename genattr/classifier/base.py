"""Base of network classifiers: normalization, fast inference, class names, a fingerprint."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn

from genattr.assets.weights import fingerprint
from genattr.classifier.folding import fold_batch_norm
from genattr.classifier.labels import ClassNames
from genattr.errors import UserError, first_line, require
from genattr.parameters import Allowed, that
from genattr.protocols import Classifier

log = logging.getLogger(__name__)
Side = Annotated[int, Ge(1), Allowed("positive")]
Normalization = Annotated[
    Sequence[float], *that(lambda values: len(values) in (1, 3), "1 or 3 numbers")
]
Scale = Annotated[
    Sequence[float],
    *that(
        lambda values: len(values) in (1, 3) and all(value > 0 for value in values),
        "above 0: 1 or 3 numbers",
    ),
]


@dataclass(frozen=True, kw_only=True)
class NetworkClassifier(Classifier):
    """A PyTorch network as ``protocols.Classifier``; a subclass says how it is built.

    Parameters
    ----------
    input_size
        D in pixels.
    mean, std
        Normalization of RGB in [0, 1]: one number, or one per channel.
    outputs
        ``logits``, or ``probabilities`` if the network ends in a softmax.
    labels
        Names of the classes: ``imagenet``, ``places365``, or a text file with one name per line.
        None: ImageNet's if there are 1000 classes, Places365's if there are 365, else numbered.
        After construction, the attribute holds the names themselves, by index.
    """

    input_size: Side
    mean: Normalization
    std: Scale
    outputs: Literal["logits", "probabilities"]
    labels: str | Sequence[str] | None = field(metadata={"identity": False})  # type: ignore[assignment]

    def __post_init__(self) -> None:
        super().__post_init__()
        choice = self.labels if self.labels is None else str(self.labels)
        object.__setattr__(self, "labels", ClassNames(choice, self._count_classes))

    @abstractmethod
    def build(self) -> nn.Module:
        """Return the network with its weights."""

    @property
    @abstractmethod
    def title(self) -> str:
        """Name of the network for people."""

    @cached_property
    def network(self) -> nn.Module:
        """The network, ready for fast inference: evaluation mode, folded, channels last.

        Raises
        ------
        UserError
            If it does not take images of the input size, does not give one number per class, or
            the numbers of classes and labels differ.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = self.build().eval()
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        example = torch.full((1, 3, self.input_size, self.input_size), 0.1)
        self.__dict__["fingerprint"] = self.hash_of(network)
        self.__dict__["n_classes"] = self._try_out(network, example).shape[1]
        assert self.labels is not None
        _ = len(self.labels)  # raises UserError if their number differs
        folded = fold_batch_norm(network, example)
        return folded.to(memory_format=torch.channels_last)

    def hash_of(self, network: nn.Module) -> str:
        """Hash the weights, and anything else that the network computes with."""
        return fingerprint(network)

    @torch.no_grad()
    def _try_out(self, network: nn.Module, example: Tensor) -> Tensor:
        """Score one image and check the output."""
        try:
            output = network(example)
        except RuntimeError as error:
            raise UserError(
                f"{self.title} fails on images of {self.input_size} x {self.input_size} pixels "
                f"(classifier.input_size): {first_line(error)}"
            ) from error
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        require(
            isinstance(shape, tuple) and len(shape) == 2 and shape[0] == 1,
            f"{self.title} gives {shape} for one image, not (1, classes)",
        )
        total = float(output.sum())
        adds_up = bool((output >= 0).all()) and abs(total - 1) < 1e-3
        require(
            adds_up or self.outputs == "logits",
            f"classifier.outputs=probabilities: those of {self.title} add up to {total:.3g}, not "
            "to 1; try classifier.outputs=logits",
        )
        if adds_up and self.outputs == "logits":
            log.warning("%s: looks as if it needs classifier.outputs=probabilities", self.title)
        return output  # type: ignore[no-any-return]

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the weights before folding."""
        _ = self.network
        return str(self.__dict__["fingerprint"])

    def _count_classes(self) -> int:
        if "n_classes" not in self.__dict__:
            _ = self.network
        return int(self.__dict__["n_classes"])

    @cached_property
    def _shift(self) -> Tensor:
        return torch.tensor(list(self.mean)).view(1, -1, 1, 1)

    @cached_property
    def _scale(self) -> Tensor:
        return torch.tensor(list(self.std)).view(1, -1, 1, 1)

    def to(self, device: torch.device) -> None:
        """Move the network and its normalization."""
        self.network.to(device)
        for name in ("_shift", "_scale"):
            self.__dict__[name] = getattr(self, name).to(device)

    def __call__(self, images: Tensor) -> Tensor:
        """Map (B, 3, D, D) in [0, 1] to (B, K) logits or log-probabilities, differentiable."""
        normalized = (images - self._shift) / self._scale
        output: Tensor = self.network(normalized.contiguous(memory_format=torch.channels_last))
        return output if self.outputs == "logits" else output.clamp(min=1e-38).log()
