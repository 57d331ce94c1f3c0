"""Metrics of the photo without the part that a map marks: the paper's section 4.2."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from genattr.metric.base import Metric, Rows
from genattr.parameters import Share
from genattr.probe import Probe
from genattr.types import Heatmap


@dataclass(frozen=True)
class RemovalMetric(Metric):
    """A metric of the photo whose marked part the run's filler has filled.

    ``method=boxes`` marks the labeled boxes and ``method=deeplab`` the object, so that a sweep over
    ``filler`` shows which filler removes objects best, independent of a method.

    Parameters
    ----------
    threshold
        The removed part: pixels of at least this share of the map's maximum. Undefined for a map
        without any positive value.
    """

    threshold: Share

    def per_image(self, heatmap: Heatmap, probe: Probe) -> dict[str, Any]:
        positive = heatmap.to_image(probe.size).clamp(min=0).to(probe.image.device)
        if not bool((positive > 0).any()):
            return dict.fromkeys(self.names)
        hole = positive >= self.threshold * positive.max()
        return self.compare(probe, probe.composite(hole[None, None]))

    @property
    @abstractmethod
    def names(self) -> Sequence[str]:
        """Names of the numbers that ``compare`` returns."""

    @abstractmethod
    def compare(self, probe: Probe, filled: Tensor) -> dict[str, Any]:
        """Score the photo after the removal.

        Parameters
        ----------
        probe
            The photo and the explained class.
        filled
            (1, 3, D, D) in [0, 1], the photo without the marked part.
        """

    def aggregate(self, rows: Rows, held_out_rows: Rows) -> dict[str, float | Sequence[float]]:
        return {name: [_defined(row[name]) for row in rows] for name in self.names}


def _defined(value: float | None) -> float:
    return float("nan") if value is None else value
