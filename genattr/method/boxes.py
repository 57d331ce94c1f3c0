"""The labeled boxes as a heatmap: the map of a method that knows the object's place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from genattr.errors import BadPhotoError
from genattr.method.baseline import ObjectMap
from genattr.parameters import Objective
from genattr.probe import Probe
from genattr.types import Sample


@dataclass(frozen=True)
class Boxes(ObjectMap):
    """One inside the photo's boxes, zero outside.

    Parameters
    ----------
    objective
        What pictures show removed: the object (``deletion``), or all but it (``preservation``).
    """

    objective: Objective

    needs_boxes: ClassVar[bool] = True

    def reads(self, sample: Sample) -> dict[str, Any]:
        if sample.boxes is None:
            raise BadPhotoError(f"{sample.image_id}: it has no boxes, which method=boxes needs")
        return {"boxes": sample.boxes.tolist()}

    def values(self, probe: Probe) -> Tensor:
        boxes = probe.sample.boxes
        assert boxes is not None, "reads() lets no photo without boxes pass"
        values = torch.zeros(probe.size, probe.size)
        for x0, y0, x1, y1 in boxes.round().int().tolist():
            values[y0:y1, x0:x1] = 1
        return values
