"""The labeled boxes as a heatmap: what a method would give that knew the object's place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genattr.errors import require
from genattr.method.baseline import ObjectMap
from genattr.probe import Probe
from genattr.types import Sample


@dataclass(frozen=True)
class Boxes(ObjectMap):
    """One inside the photo's boxes, zero outside.

    Parameters
    ----------
    objective
        What pictures show removed, see ``ObjectMap``.
    """

    objective: str

    def reads(self, sample: Sample) -> dict[str, Any]:
        """Return what of the photo determines the map, beside its pixels."""
        return {} if sample.boxes is None else {"boxes": sample.boxes.tolist()}

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
