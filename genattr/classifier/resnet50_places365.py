"""ResNet-50 for the 365 scenes of Places365, with its authors' weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from torch import nn

from genattr.assets.download import RemoteFile, fetch
from genattr.assets.weights import load_into
from genattr.classifier.base import NetworkClassifier
from genattr.files import expanded
from genattr.protocols import Asset


@dataclass(frozen=True, kw_only=True)
class ResNet50Places365(NetworkClassifier):
    """torchvision's ResNet-50 with 365 classes.

    Parameters
    ----------
    weights
        Where the authors' checkpoint is fetched from, at first use.
    checkpoint
        A local file with it, instead of a download.
    """

    weights: RemoteFile = field(metadata={"identity": False})
    checkpoint: str | None = field(metadata={"identity": False})

    fetches: ClassVar[bool] = True

    @property
    def assets(self) -> Sequence[Asset]:
        return () if self.checkpoint else (self.weights,)

    def build(self) -> nn.Module:
        from torchvision import models

        network: nn.Module = models.resnet50(weights=None, num_classes=365)
        file = expanded(self.checkpoint) if self.checkpoint else fetch(self.weights)
        load_into(network, file, self.title)
        return network

    @property
    def title(self) -> str:
        return "resnet50_places365"
