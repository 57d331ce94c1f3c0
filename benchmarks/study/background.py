"""All but the labeled boxes as a heatmap: what the objective of preservation removes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from genattr.method.boxes import Boxes
from genattr.probe import Probe


@dataclass(frozen=True)
class Background(Boxes):
    """Zero inside the photo's boxes, one outside."""

    def values(self, probe: Probe) -> Tensor:
        return 1 - super().values(probe)
