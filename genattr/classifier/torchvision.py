"""Any image classifier of torchvision, by name and weights."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from genattr.assets.download import RemoteFile, fetch
from genattr.assets.weights import load_state_dict
from genattr.classifier.library import LibraryClassifier
from genattr.errors import require
from genattr.protocols import Asset

AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")  # of Inception and GoogLeNet
MAX_BYTES = 4 << 30  # more than any of torchvision's


@dataclass(frozen=True, kw_only=True)
class TorchvisionClassifier(LibraryClassifier):
    """A torchvision model.

    Parameters
    ----------
    weights
        Such as ``DEFAULT`` or ``IMAGENET1K_V1``, downloaded at first use unless there is a
        checkpoint with them; None: the checkpoint's, or random ones.
    """

    weights: str | None

    fetches: ClassVar[bool] = True

    @property
    def assets(self) -> Sequence[Asset]:
        wanted = self.checkpoint is None and self._weights is not None
        return (_remote(self._weights),) if wanted else ()

    def defaults(self) -> Mapping[str, Any]:
        from torchvision import models

        self.check_name(self.name, models.list_models(module=models))
        if self._weights is None:
            return {"input_size": 224, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
        transforms = self._weights.transforms()
        return {
            "input_size": transforms.crop_size[0],
            "mean": transforms.mean,
            "std": transforms.std,
        }

    @property
    def _weights(self) -> Any:
        """The chosen member of torchvision's weights enumeration, or None."""
        from torchvision import models

        if self.weights is None:
            return None
        choices = models.get_model_weights(self.name).__members__
        require(
            self.weights in choices,
            f"classifier.weights={self.weights}: {self.name} has {', '.join(choices)} or null",
        )
        return choices[self.weights]

    @property
    def pretrained_classes(self) -> int | None:
        return None if self._weights is None else len(self._weights.meta["categories"])

    def build(self) -> nn.Module:
        from torchvision import models

        chosen = self._weights
        if chosen is None:
            return self.with_checkpoint(self._random())
        file = self.file if self.checkpoint else fetch(_remote(chosen))
        state = self.given(self._random()) if self.checkpoint else load_state_dict(file)
        try:
            with _state_given(chosen, state, self.num_classes):
                network: nn.Module = models.get_model(self.name, weights=chosen)
        except (RuntimeError, ValueError) as error:
            raise self.misfit(self._random(), state, file) from error
        return network

    def given(self, network: nn.Module) -> dict[str, Tensor]:
        """Put zeros where heads that only training uses are missing or have other classes."""
        state = super().given(network)
        for name, own in network.state_dict().items():
            if name.startswith(AUXILIARY) and (name not in state or state[name].shape != own.shape):
                state[name] = torch.zeros_like(own)
        return state

    def _random(self) -> nn.Module:
        """Return the model with random weights."""
        from torchvision import models

        count = {} if self.num_classes is None else {"num_classes": self.num_classes}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of the time that Inception takes
            network: nn.Module = models.get_model(self.name, weights=None, **count)
        return network


def _remote(weights: Any) -> RemoteFile:
    """Return torchvision's weights as a file; its name ends in the first digits of the hash."""
    match = re.search(r"-([0-9a-f]{8,64})\.\w+$", weights.url)
    license_ = weights.meta.get("license", "BSD-3-Clause, and the terms of the training data")
    return RemoteFile(weights.url, match and match[1], license_, MAX_BYTES)


@contextmanager
def _state_given(
    weights: Any, state: Mapping[str, Tensor], num_classes: int | None
) -> Iterator[None]:
    """Let torchvision build a model for its own weights without downloading them itself.

    Only torchvision handles their peculiarities: Inception's other input, DenseNet's old names. It
    counts the classes by the weights' list of them.
    """
    kind, categories = type(weights), weights.meta["categories"]
    kind.get_state_dict = lambda *_, **__: state
    weights.meta["categories"] = categories if num_classes is None else [""] * num_classes
    try:
        yield
    finally:
        del kind.get_state_dict
        weights.meta["categories"] = categories
