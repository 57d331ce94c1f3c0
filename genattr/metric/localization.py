"""Localization error: does the heatmap's box meet the object's? The paper's section 4.3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torchvision.ops import box_iou

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
        best = box_iou(map_boxes.float(), sample.boxes.float()).amax(dim=1)
        return {"iou": best.tolist()}

    def losses(self, rows: Rows) -> Array:
        iou = stack(rows, "iou")
        return np.where(np.isnan(iou), np.nan, iou < MINIMUM_IOU)
