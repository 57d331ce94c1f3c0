"""The user's network or function, given by its Python path."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from genattr.assets import import_path
from genattr.assets.weights import fingerprint
from genattr.classifier.base import NetworkClassifier
from genattr.errors import require
from genattr.ops.foreign import telling


class Function(nn.Module):
    """A plain function wrapped as a network."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.forward = function


def as_network(function: Callable[..., Any], told: str) -> nn.Module:
    """Make a network of a network, of a function of images, or of what gives one of these.

    Parameters
    ----------
    function
        Called once if it needs no argument; its result is then meant.
    told
        Begins the messages of UserError.
    """
    if not isinstance(function, nn.Module) and _needs_nothing(function):
        with telling(f"{told} fails when it is called without arguments"):
            function = function()
    require(
        callable(function),
        f"{told}: called without arguments, it gives {type(function).__name__}, which cannot be "
        "called with images",
    )
    return function if isinstance(function, nn.Module) else Function(function)


@dataclass(frozen=True, kw_only=True)
class CallableClassifier(NetworkClassifier):
    """The object at a Python path: (B, 3, D, D) normalized images to (B, classes).

    An object that needs no argument, such as a function that loads a network or a class of
    networks, is called once, and its result is the classifier. Any other object is the classifier
    itself: a network, or a function of images. Gradients need PyTorch inside. A network is put
    into evaluation mode.

    Stored heatmaps are reused as long as the weights and the file that the path names do not
    change; changes of modules and data that this file loads are not noticed.

    Parameters
    ----------
    path
        Such as ``package.module:name``; the caller's folder is searched too.
    """

    path: str | None

    def __post_init__(self) -> None:
        require(bool(self.path), "classifier=callable needs classifier.path=package.module:name")
        self._pointed()
        super().__post_init__()

    def _pointed(self) -> Callable[..., Any]:
        return import_path.load(str(self.path), "classifier.path")

    def build(self) -> nn.Module:
        return as_network(self._pointed(), f"classifier.path={self.path}")

    def hash_of(self, network: nn.Module) -> str:
        """Hash the weights, and the file that the path names."""
        return f"{fingerprint(network)}-{import_path.source_hash(str(self.path))}"

    @property
    def title(self) -> str:
        return str(self.path).rpartition(":")[2]


def _needs_nothing(function: Callable[..., Any]) -> bool:
    """Whether it can be called without arguments."""
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError):
        return False
    return True
