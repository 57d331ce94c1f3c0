"""Accuracy of an independent classifier after the removal: the paper's Table 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from genattr.errors import require
from genattr.metric.base import Direction
from genattr.metric.removal import RemovalMetric
from genattr.probe import Probe
from genattr.protocols import Classifier


@dataclass(frozen=True)
class Judge(RemovalMetric):
    """Share of photos whose class a judge names first, before and after the removal.

    Parameters
    ----------
    threshold
        See ``RemovalMetric``.
    judge
        A classifier of the same classes, other than the one that is explained; photos are resized
        bilinearly to its input size.
    """

    judge: Classifier

    direction: ClassVar[Direction] = "lower"
    names: ClassVar[Sequence[str]] = ("accuracy", "accuracy_before")

    def compare(self, probe: Probe, filled: Tensor) -> dict[str, Any]:
        self.judge.to(filled.device)
        n_classes, target = len(self.judge.labels), probe.target
        require(
            target < n_classes, f"metric judge knows {n_classes} classes; the photo's is {target}"
        )
        size = self.judge.input_size
        images = torch.cat([filled, probe.image[None]])
        if images.shape[-1] != size:
            images = functional.interpolate(
                images, size=(size, size), mode="bilinear", align_corners=False
            )
        with torch.no_grad():
            first = self.judge(images).argmax(dim=1).tolist()
        return {name: float(label == target) for name, label in zip(self.names, first, strict=True)}
