"""The user's network or function, given itself."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from genattr.assets.weights import fingerprint
from genattr.classifier.base import NetworkClassifier
from genattr.classifier.callable import as_network


@dataclass(frozen=True, kw_only=True)
class GivenClassifier(NetworkClassifier):
    """An object: (B, 3, D, D) normalized images to (B, classes), as ``callable`` takes it.

    Stored heatmaps are reused as long as its weights and its answers do not change.

    Parameters
    ----------
    function
        A network, which is changed (evaluation mode, no gradients of its weights), a function of
        images, or what gives one of these when it is called without arguments.
    name
        For people.
    assumed
        Where the normalization is from, for people.
    """

    function: Callable[..., Any] = field(metadata={"identity": False})
    name: str = field(metadata={"identity": False})
    assumed: str = field(metadata={"identity": False})

    def build(self) -> nn.Module:
        return as_network(self.function, f"model {self.name}")

    def hash_of(self, network: nn.Module) -> str:
        """Hash the weights, and the answers to noise, which tell what weights do not."""
        answers = hashlib.blake2b(self.answers(network), digest_size=8).hexdigest()
        return f"{fingerprint(network)}-{answers}"

    def answers(self, network: nn.Module) -> bytes:
        """Return a network's logits for two images of noise, bit by bit."""
        return self._answers(network).contiguous().numpy().tobytes()

    @property
    def title(self) -> str:
        return self.name

    @property
    def reading(self) -> str:
        return (
            f"{super().reading} of {self.input_size} x {self.input_size} pixels, RGB normalized by "
            f"mean {_joined(self.mean)} and std {_joined(self.std)} ({self.assumed})"
        )


def _joined(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
