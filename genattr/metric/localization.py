"""Localization error: does the heatmap's box meet the object's? The paper's section 4.3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from genattr.metric.base import Array, FinerScore, Rows
from genattr.metric.thresholds import ThresholdMetric, boxes_at_alphas, stack
from genattr.probe import Probe
from genattr.types import Heatmap

MINIMUM_IOU = 0.5


@dataclass(frozen=True)
class Localization(ThresholdMetric):
    """Share of photos whose box has an IoU below 0.5 with every box of the object.

    Undefined for photos without boxes, and for a target that is not the photo's label.
    """

    name: ClassVar[str] = "error"
    needs_boxes: ClassVar[bool] = True
    axis_label: ClassVar[str] = "localization error"
    finer_score: ClassVar[FinerScore] = FinerScore("IoU", "iou", "higher")

    def per_image(self, heatmap: Heatmap, probe: Probe) -> dict[str, Any]:
        """Return ``iou``: for each alpha the best IoU over the object's boxes."""
        sample = probe.sample
        if sample.boxes is None or sample.label not in (None, heatmap.target):
            return {"iou": None}
        map_boxes = boxes_at_alphas(heatmap.to_image(probe.size), self.component)
        best = overlaps(map_boxes.float(), sample.boxes.float()).amax(dim=1)
        return {"iou": best.tolist()}

    def losses(self, rows: Rows) -> Array:
        iou = stack(rows, "iou")
        return np.where(np.isnan(iou), np.nan, iou < MINIMUM_IOU)


def overlaps(first: Tensor, second: Tensor) -> Tensor:
    """Return the (A, B) intersections over unions of (A, 4) with (B, 4) half-open boxes.

    As torchvision's ``box_iou``, whose import takes longer than a short run.
    """
    low = torch.maximum(first[:, None, :2], second[:, :2])
    high = torch.minimum(first[:, None, 2:], second[:, 2:])
    common = (high - low).clamp(min=0).prod(dim=2)
    return common / (_areas(first)[:, None] + _areas(second) - common)


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
