"""Maps without perturbations: the baselines of the paper's Tables 2-4, and objects as maps."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from genattr.method.base import Method
from genattr.method.mask import upsample
from genattr.parameters import Objective
from genattr.probe import Probe
from genattr.types import Heatmap


class Baseline(Method):
    """A map in [0, 1] that needs no perturbation."""

    @property
    def title(self) -> str:
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

    objective: Objective

    def removed(self, heatmap: Heatmap, size: int) -> Tensor:
        inside = upsample((heatmap.values > 0).float(), size, "nearest").bool()
        return inside if self.objective == "deletion" else ~inside
