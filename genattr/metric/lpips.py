"""How far apart the photos with and without the object look: LPIPS, the paper's Table 1."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from genattr import seeds
from genattr.assets.download import RemoteFile, fetch
from genattr.assets.weights import load_state_dict
from genattr.errors import UserError
from genattr.metric.base import Direction
from genattr.metric.removal import RemovalMetric
from genattr.probe import Probe
from genattr.protocols import Asset, Classifier


@dataclass(frozen=True)
class Lpips(RemovalMetric):
    """LPIPS of Zhang et al. (2018) on AlexNet's features, by its authors' package ``lpips``.

    Parameters
    ----------
    threshold
        The removed part: pixels of at least this share of the map's maximum.
    weights
        AlexNet's, downloaded at first use; None: random ones, whose scores are meaningless.
    """

    weights: RemoteFile | None

    direction: ClassVar[Direction] = "higher"
    names: ClassVar[Sequence[str]] = ("score",)
    extra: ClassVar[str] = "lpips"
    fetches: ClassVar[bool] = True

    @property
    def assets(self) -> Sequence[Asset]:
        return () if self.weights is None else (self.weights,)

    def check(self, classifier: Classifier, device: torch.device) -> None:
        """Find out whether the package and the weights are there, before any photo."""
        _library()
        if self.weights is not None:
            fetch(self.weights)

    def compare(self, probe: Probe, filled: Tensor) -> dict[str, Any]:
        distance = self.network.to(filled.device)
        with torch.no_grad():
            return {"score": float(distance(probe.image[None], filled, normalize=True))}

    @cached_property
    def network(self) -> nn.Module:
        """The distance, with AlexNet's layers under their own names in order."""
        with seeds.fixed(0), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The parameter 'pretrained'|Arguments other than")
            network: nn.Module = _library()(net="alex", pnet_rand=True, verbose=False).eval()
        if self.weights is not None:
            load_features(network, load_state_dict(fetch(self.weights)))
        return network


def _library() -> Any:
    try:
        from lpips import LPIPS
    except ImportError as error:
        raise UserError("metric lpips needs an extra: pip install 'genattr[lpips]'") from error
    return LPIPS


def load_features(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy AlexNet's weights, which have the same order, into the distance's convolutions."""
    weights = [tensor for name, tensor in state.items() if name.startswith("features.")]
    parameters = list(network.get_submodule("net").parameters())
    for parameter, tensor in zip(parameters, weights, strict=True):
        parameter.data.copy_(tensor)
