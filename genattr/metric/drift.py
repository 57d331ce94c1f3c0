"""Sensitivity to patches on the background: the paper's section 5.1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from genattr.errors import require
from genattr.method.sp import starts, windows
from genattr.metric.base import Direction, Metric, Rows
from genattr.parameters import Pixels
from genattr.probe import Probe
from genattr.types import Heatmap, RectangleHoles


@dataclass(frozen=True)
class Drift(Metric):
    """Mean |s(x) - s(x_bar)| over the patches that miss every box of the object.

    The run's filler fills the patches; the map does not matter. Undefined for photos without
    boxes, if no patch misses them, and for a target that is not the photo's label.

    Parameters
    ----------
    patch_size
        Side of the removed squares, in pixels of the classifier's input.
    stride
        Steps from one square to the next, in such pixels.
    """

    patch_size: Pixels
    stride: Pixels

    direction: ClassVar[Direction] = "lower"
    needs_boxes: ClassVar[bool] = True

    def calls(self, size: int) -> int:
        require(
            self.patch_size <= size,
            f"metric.patch_size={self.patch_size}: the images have {size} pixels",
        )
        return len(starts(size, self.patch_size, self.stride)) ** 2

    def per_image(self, heatmap: Heatmap, probe: Probe) -> dict[str, Any]:
        """Return ``change``, and the number of ``patches`` that it averages over."""
        sample = probe.sample
        if sample.boxes is None or sample.label not in (None, heatmap.target):
            return {"change": None, "patches": 0}
        patches = windows(probe.size, self.patch_size, self.stride).boxes
        outside = patches[~touching(patches, sample.boxes)]
        if len(outside) == 0:
            return {"change": None, "patches": 0}
        scores = probe.score(RectangleHoles(outside, probe.size)).double()
        change = (scores - heatmap.score).abs().mean()
        return {"change": float(change), "patches": len(outside)}

    def aggregate(self, rows: Rows, held_out_rows: Rows) -> dict[str, float | Sequence[float]]:
        changes = [row["change"] for row in rows]
        return {"change": [float("nan") if change is None else change for change in changes]}


def touching(patches: Tensor, boxes: Tensor) -> Tensor:
    """Return which of (N, 4) patches share any area with any of (k, 4) boxes.

    Returns
    -------
    (N,) bool.
    """
    low = torch.maximum(patches[:, None, :2].double(), boxes[None, :, :2].double())
    high = torch.minimum(patches[:, None, 2:].double(), boxes[None, :, 2:].double())
    return (high > low).all(dim=2).any(dim=1)
