"""The saliency metric of Dabkowski and Gal: a small crop that is still recognized."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from genattr.metric.base import Array, Rows
from genattr.metric.thresholds import ALPHAS, ThresholdMetric, boxes_at_alphas, stack
from genattr.probe import Probe
from genattr.types import Heatmap

SMALLEST_AREA = 0.05
SMALLEST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class Saliency(ThresholdMetric):
    """log(max(a, 0.05)) - log s(crop), natural logarithms, a = the box's share of the image."""

    name: ClassVar[str] = "score"
    axis_label: ClassVar[str] = "saliency metric (natural log)"

    def calls(self, size: int) -> int:
        return len(ALPHAS)

    def per_image(self, heatmap: Heatmap, probe: Probe) -> dict[str, Any]:
        """Return ``saliency``: one value for each alpha."""
        boxes, which = boxes_at_alphas(heatmap.to_image(probe.size), self.component).unique(
            dim=0, return_inverse=True
        )
        score = probe.probabilities(torch.stack([_crop(probe.image, box) for box in boxes]))
        width, height = (boxes[:, 2:] - boxes[:, :2]).double().unbind(1)
        area = width * height / probe.size**2
        value = area.clamp(min=SMALLEST_AREA).log()
        value = value - score.double().clamp(min=SMALLEST_PROBABILITY).log()
        return {"saliency": value[which].tolist()}

    def losses(self, rows: Rows) -> Array:
        return stack(rows, "saliency")


def _crop(image: Tensor, box: Tensor) -> Tensor:
    """Cut the box out of (3, D, D) and resize it bilinearly to (3, D, D)."""
    x0, y0, x1, y1 = box.tolist()
    piece = image[None, :, y0:y1, x0:x1]
    return functional.interpolate(
        piece, size=image.shape[-2:], mode="bilinear", align_corners=False
    )[0]
