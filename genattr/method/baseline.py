"""Maps that do not look at the photo: the baselines of the paper's Tables 2-4."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from genattr.probe import Probe
from genattr.types import Heatmap


class Baseline(ABC):
    """A map in [0, 1] that costs no perturbation."""

    @property
    def title(self) -> str:
        """Name of the baseline for people."""
        return type(self).__name__.lower()

    def calls(self, size: int) -> int:
        return 1

    def explain(self, probe: Probe) -> Heatmap:
        return probe.heatmap(self.values(probe), (0.0, 1.0))

    @abstractmethod
    def values(self, probe: Probe) -> Tensor:
        """Return the (D, D) map."""
