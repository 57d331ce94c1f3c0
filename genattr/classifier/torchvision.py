"""Any image classifier of torchvision, by name and weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from genattr.classifier.library import LibraryClassifier
from genattr.errors import require


@dataclass(frozen=True, kw_only=True)
class TorchvisionClassifier(LibraryClassifier):
    """A torchvision model.

    Parameters
    ----------
    weights
        Such as ``DEFAULT`` or ``IMAGENET1K_V1``, downloaded at first use; None: the checkpoint,
        or random ones.
    """

    weights: str | None

    def defaults(self) -> Mapping[str, Any]:
        from torchvision import models

        self.check_name(self.name, models.list_models(module=models))
        if self._weights is None:
            return {"input_size": 224, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
        own = self._weights.transforms()
        return {"input_size": own.crop_size[0], "mean": own.mean, "std": own.std}

    @property
    def _weights(self) -> Any:
        """The chosen member of torchvision's weights enumeration, or None."""
        from torchvision import models

        if self.weights is None:
            return None
        known = models.get_model_weights(self.name).__members__
        require(
            self.weights in known,
            f"classifier.weights={self.weights}: {self.name} has {', '.join(known)} or null",
        )
        return known[self.weights]

    def build(self) -> nn.Module:
        from torchvision import models

        if self.checkpoint is not None or self.weights is None:
            return self.with_checkpoint(models.get_model(self.name, weights=None))
        return self.fetch(lambda: models.get_model(self.name, weights=self._weights))
