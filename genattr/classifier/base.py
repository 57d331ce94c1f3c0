"""What network classifiers share: normalization, preparation for speed, names, a fingerprint."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from genattr.classifier.folding import fold_batch_norm
from genattr.dataset.imagenet_classes import class_names
from genattr.errors import require
from genattr.weights import fingerprint


@dataclass(frozen=True, kw_only=True)
class NetworkClassifier(ABC):
    """A PyTorch network as types.Classifier; a subclass says how it is built.

    Parameters
    ----------
    input_size
        D in pixels.
    mean, std
        Normalization of RGB in [0, 1]: one number, or one a channel.
    outputs
        ``logits``, or ``probabilities`` if the network ends in a softmax.
    """

    input_size: int
    mean: Sequence[float]
    std: Sequence[float]
    outputs: str

    def __post_init__(self) -> None:
        require(
            self.outputs in ("logits", "probabilities"),
            f"classifier.outputs={self.outputs}: must be logits or probabilities",
        )
        require(self.input_size >= 1, f"classifier.input_size={self.input_size}: must be positive")
        for key, values in (("mean", self.mean), ("std", self.std)):
            require(len(values) in (1, 3), f"classifier.{key} needs 1 or 3 numbers: {values}")

    @abstractmethod
    def build(self) -> nn.Module:
        """Return the network with its weights."""

    @property
    @abstractmethod
    def title(self) -> str:
        """Name of the network for people."""

    @cached_property
    def network(self) -> nn.Module:
        """The network, ready for fast inference: evaluation mode, folded, channels last."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = self.build().eval().requires_grad_(False)
        self.__dict__["fingerprint"] = fingerprint(network)
        example = torch.full((1, 3, self.input_size, self.input_size), 0.1)
        folded = fold_batch_norm(network, example)
        return folded.to(memory_format=torch.channels_last)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the weights before folding."""
        _ = self.network
        return str(self.__dict__["fingerprint"])

    @cached_property
    def labels(self) -> Sequence[str]:
        """Names of the classes by index: ImageNet's where there are 1000, else numbered."""
        count = self(torch.zeros(1, 3, self.input_size, self.input_size)).shape[1]
        return class_names() if count == 1000 else [f"class {i}" for i in range(count)]

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
