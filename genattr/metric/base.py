"""The interface of metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from genattr.method.base import Method
from genattr.probe import Probe
from genattr.protocols import Classifier, Component
from genattr.types import Heatmap, Sample

Direction = Literal["lower", "higher"]
Array = NDArray[np.float64]
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class FinerScore:
    """A number that ranks photos with equal scores, such as the IoU behind a localization error.

    Attributes
    ----------
    name
        For people, such as "IoU".
    column
        Its name in ``per_image``: a list with a number for each threshold.
    direction
        Which way is better.
    """

    name: str
    column: str
    direction: Direction


class Metric(Component):
    """A score of heatmaps.

    Attributes
    ----------
    direction
        Which way is better.
    needs_boxes
        It is undefined without labeled boxes: a dataset without any is refused.
    uses_held_out
        It chooses a parameter, such as a threshold, on held-out photos; other metrics do not run
        on them.
    thresholds
        Those that ``curve`` has a value for, such as 0, 0.05, ...; empty: it has no curve.
    axis_label
        Name of the curve's value, for people.
    finer_score
        See ``FinerScore``; None: the score itself is fine enough.
    is_repeatable
        The same heatmap, photo, labels, boxes and components always have the same score, which is
        kept in the store then.
    """

    group: ClassVar[str] = "metric"
    direction: ClassVar[Direction]
    needs_boxes: ClassVar[bool] = False
    uses_held_out: ClassVar[bool] = False
    thresholds: ClassVar[Sequence[float]] = ()
    axis_label: ClassVar[str] = ""
    finer_score: ClassVar[FinerScore | None] = None
    is_repeatable: ClassVar[bool] = True

    def calls(self, size: int) -> int:
        """Return an upper bound of the images that scoring one heatmap needs."""
        return 0

    @property
    def explanations(self) -> int:
        """How many times it has the run's method explain again for one heatmap, at most."""
        return 0

    def usual_calls(self, size: int) -> int:
        """Return about how many images scoring a map without equal values needs."""
        return self.calls(size)

    def check(self, classifier: Classifier, device: torch.device) -> None:
        """Raise UserError if the metric cannot score maps of a classifier, on a device."""

    def reads(self, sample: Sample) -> dict[str, Any]:
        """Return what its components read of a photo beside the pixels, and itself beside boxes."""
        parts = {entry.name: getattr(self, entry.name) for entry in fields(self)}  # type: ignore[arg-type]
        return {
            name: part.reads(sample) for name, part in parts.items() if isinstance(part, Component)
        }

    def per_image(self, heatmap: Heatmap, probe: Probe) -> dict[str, Any]:
        """Score one heatmap: named numbers or lists of numbers, None where undefined."""
        raise NotImplementedError

    def scores(self, heatmap: Heatmap, probe: Probe, method: Method) -> dict[str, Any]:
        """Score one heatmap of a method; what explains again overrides it, others ``per_image``.

        Parameters
        ----------
        probe
            As the method saw it: it scores the quantity that the run explains.
        """
        return self.per_image(heatmap, probe.of_probability())

    def aggregate(self, rows: Rows, held_out_rows: Rows) -> dict[str, float | Sequence[float]]:
        """Combine rows of ``per_image``.

        A sequence holds one number per row (NaN if undefined); reports add its mean, interval and
        count. A float, such as a threshold chosen on held-out photos, is reported unchanged.
        """
        raise NotImplementedError

    def curve(self, rows: Rows) -> Array:
        """Return the mean over the photos at each of ``thresholds``; lower = better."""
        raise NotImplementedError

    def box(self, heatmap: Heatmap, size: int, threshold: float) -> Array | None:
        """Return the (4,) box of a map at a threshold, for pictures; None: it has no box."""
        return None

    def histogram(self, rows: Rows) -> list[tuple[int, int]]:
        """Count classes over all photos, the most frequent first; empty: it counts none."""
        return []
