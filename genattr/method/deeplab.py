"""The object's segment by DeepLab as a heatmap: the part that the paper removes for Table 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from genattr import seeds
from genattr.assets.download import RemoteFile, fetch
from genattr.assets.weights import load_state_dict
from genattr.errors import require
from genattr.method.baseline import ObjectMap
from genattr.parameters import Objective
from genattr.probe import Probe
from genattr.protocols import Asset

BACKGROUND = 0
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class DeepLab(ObjectMap):
    """One where torchvision's DeepLabV3 sees an object, zero elsewhere.

    Parameters
    ----------
    classes
        The classes of PASCAL VOC that count as the object, such as bird; None: all of them.
    objective
        What pictures show removed: the object (``deletion``), or all but it (``preservation``).
    weights
        Downloaded at first use; None: random ones, whose maps are meaningless.
    """

    classes: Sequence[str] | None
    objective: Objective
    weights: RemoteFile | None

    fetches: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = [name for name in self.classes or () if name not in categories()]
        require(
            not unknown,
            f"method.classes={unknown}: DeepLab knows {', '.join(categories()[1:])}",
        )

    @property
    def assets(self) -> Sequence[Asset]:
        return () if self.weights is None else (self.weights,)

    @torch.no_grad()
    def values(self, probe: Probe) -> Tensor:
        device = probe.image.device
        mean, std = (
            torch.tensor(statistic, device=device).view(3, 1, 1) for statistic in (MEAN, STD)
        )
        output = self.network.to(device)(((probe.image - mean) / std)[None])["out"][0]
        return self.marked(output.argmax(dim=0)).float().cpu()

    def marked(self, labels: Tensor) -> Tensor:
        """Say which pixels of a (D, D) map of VOC's classes belong to the object."""
        if self.classes is None:
            return labels != BACKGROUND
        wanted = [categories().index(name) for name in self.classes]
        return torch.isin(labels, torch.tensor(wanted, device=labels.device))

    @cached_property
    def network(self) -> nn.Module:
        """The network, with its auxiliary head, which the weights have."""
        from torchvision.models import segmentation

        with seeds.fixed(0):
            network: nn.Module = segmentation.deeplabv3_resnet101(
                weights=None, weights_backbone=None, aux_loss=True
            )
        if self.weights is not None:
            network.load_state_dict(load_state_dict(fetch(self.weights)))
        return network.eval()


def categories() -> list[str]:
    """Return the names of VOC's classes in the network's order, the background first."""
    from torchvision.models import segmentation

    meta: dict[str, Any] = segmentation.DeepLabV3_ResNet101_Weights.DEFAULT.meta
    return [str(name).strip("_") for name in meta["categories"]]
