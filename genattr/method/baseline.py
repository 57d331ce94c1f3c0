"""Maps that cost no perturbation: the baselines of the paper's Tables 2-4, and objects as maps."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from genattr.method.mask import check_objective
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


class ObjectMap(Baseline):
    """One on the photo's object, zero elsewhere.

    Attributes
    ----------
    objective
        What pictures show removed: the object (``deletion``), or all but it (``preservation``), as
        in the paper's section 4.1. The map is the same.
    """

    objective: str

    def __post_init__(self) -> None:
        check_objective(self.objective)

    def removed(self, heatmap: Heatmap) -> Tensor:
        """Return which (h, w) cells the objective asks to remove."""
        inside = heatmap.values > 0
        return inside if self.objective == "deletion" else ~inside
