"""Probability of the class after the removal: how much evidence the rest of the photo keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from genattr.metric.base import Direction
from genattr.metric.removal import RemovalMetric
from genattr.probe import Probe


@dataclass(frozen=True)
class Remains(RemovalMetric):
    """The explained classifier's own probability of the class after the removal.

    With ``method=full`` the whole photo is removed: the probability of a blurred photo is the
    lowest that MP and MP2 can reach (the paper's section 4.2).
    """

    direction: ClassVar[Direction] = "lower"
    names: ClassVar[Sequence[str]] = ("probability",)

    def calls(self, size: int) -> int:
        return 1

    def compare(self, probe: Probe, filled: Tensor) -> dict[str, Any]:
        return {"probability": float(probe.probabilities(filled))}
