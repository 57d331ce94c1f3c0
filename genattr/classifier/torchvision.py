"""Any image classifier of torchvision, by name and weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from torch import nn

from genattr.classifier.base import NetworkClassifier
from genattr.errors import UserError, require
from genattr.weights import load_into


@dataclass(frozen=True, kw_only=True)
class TorchvisionClassifier(NetworkClassifier):
    """A torchvision model; input_size, mean and std as None mean the weights' own.

    Parameters
    ----------
    name
        As in ``torchvision.models.list_models()``.
    weights
        Such as ``DEFAULT`` or ``IMAGENET1K_V1``, downloaded at first use; None: the checkpoint,
        or random ones.
    checkpoint
        A local file with the model's state dict (.safetensors or .pth), instead of the download.
    """

    name: str
    weights: str | None
    checkpoint: str | None

    def defaults(self) -> Mapping[str, Any]:
        from torchvision import models

        known = models.list_models(module=models)
        close = get_close_matches(self.name, known, n=3)
        hint = f"; did you mean {', '.join(close)}?" if close else ""
        require(self.name in known, f"classifier.name={self.name}: not in torchvision{hint}")
        if self._weights is None:
            return {"input_size": 224, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
        transform = self._weights.transforms()
        return {
            "input_size": transform.crop_size[0],
            "mean": transform.mean,
            "std": transform.std,
        }

    @property
    def _weights(self) -> Any:
        from torchvision import models

        if self.weights is None:
            return None
        known = models.get_model_weights(self.name).__members__
        require(
            self.weights in known,
            f"classifier.weights={self.weights}: {self.name} has {', '.join(known)} or null",
        )
        return known[self.weights]

    @property
    def title(self) -> str:
        return self.name

    def build(self) -> nn.Module:
        from torchvision import models

        if self.checkpoint is not None or self.weights is None:
            network: nn.Module = models.get_model(self.name, weights=None)
            if self.checkpoint is not None:
                load_into(network, self.checkpoint)
            return network
        try:
            return models.get_model(self.name, weights=self._weights)  # type: ignore[no-any-return]
        except OSError as error:
            raise UserError(
                f"torchvision could not fetch {self._weights.url} ({type(error).__name__}): "
                "give a local file, classifier.checkpoint=/path/to/weights.pth"
            ) from error
