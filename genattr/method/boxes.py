"""The labeled boxes as a heatmap: what a method would give that knew the object's place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from genattr.errors import require
from genattr.method.baseline import Baseline
from genattr.method.mask import check_objective
from genattr.probe import Probe
from genattr.types import Heatmap


@dataclass(frozen=True)
class Boxes(Baseline):
    """One inside the photo's boxes, zero outside.

    Parameters
    ----------
    objective
        What pictures show removed: the object (``deletion``), or all but it (``preservation``), as
        in the paper's section 4.1. The map is the same.
    """

    objective: str

    reads_boxes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_objective(self.objective)

    def values(self, probe: Probe) -> Tensor:
        boxes = probe.sample.boxes
        require(
            boxes is not None,
            f"method=boxes needs the boxes of {probe.sample.image_id}, which has none",
        )
        values = torch.zeros(probe.size, probe.size)
        assert boxes is not None
        for x0, y0, x1, y1 in boxes.round().int().tolist():
            values[y0:y1, x0:x1] = 1
        return values

    def removed(self, heatmap: Heatmap) -> Tensor:
        """Return which (h, w) cells the objective asks to remove."""
        inside = heatmap.values > 0
        return inside if self.objective == "deletion" else ~inside
