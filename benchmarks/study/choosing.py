"""How much of Tables 2 and 4 is decided by the photos that choose a threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.study.merge import metrics_of
from benchmarks.study.plan import rows
from genattr.analysis.statistics import Difference, paired
from genattr.metric.thresholds import ThresholdMetric
from genattr.report.table import signed_interval
from genattr.results.finished import Member, records
from genattr.results.summary import Row, rows_of_metric

DRAWS = 1000
LEVEL = 0.05
METRICS = {"localization": "localization error", "saliency": "saliency"}


@dataclass(frozen=True)
class Chosen:
    """A row by one metric.

    Attributes
    ----------
    metric
        Whose threshold is chosen.
    evaluated, held_out
        The metric's own columns of photos for claims, and for choices, by name.
    """

    metric: ThresholdMetric
    evaluated: Mapping[str, Row]
    held_out: Mapping[str, Row]

    @classmethod
    def read(cls, row: Path, name: str) -> Chosen | None:
        """Read a row's columns of a metric; None if it was not scored by it."""
        metric = metrics_of(row).get(name)
        if not isinstance(metric, ThresholdMetric):
            return None
        table = Member(row).table
        parts = (
            dict(zip(part["image_id"], rows_of_metric(records(part), name), strict=True))
            for part in (table[table["split"] == split] for split in ("evaluation", "held_out"))
        )
        return cls(metric, *parts)

    def threshold(self, photos: Sequence[str]) -> int:
        """Return the place of the threshold that these photos choose."""
        drawn = self.metric.aggregate([], [self.held_out[photo] for photo in photos])
        return self.metric.thresholds.index(drawn["alpha"])

    def losses(self, photos: Sequence[str]) -> np.ndarray:
        """Return (photos, thresholds) scores."""
        return self.metric.losses([self.evaluated[photo] for photo in photos])


def redrawn(first: Chosen, second: Chosen, draws: int = DRAWS) -> list[Difference]:
    """Compare two rows as often as the photos for choices, of both, are drawn with replacement."""
    photos = [photo for photo in first.evaluated if photo in second.evaluated]
    choices = sorted(first.held_out.keys() & second.held_out.keys())
    losses = first.losses(photos), second.losses(photos)

    @cache
    def compared(one: int, other: int) -> Difference:
        return paired(losses[0][:, one], losses[1][:, other], better="lower")

    generator = np.random.default_rng(0)
    drawn = (generator.choice(choices, len(choices)).tolist() for _ in range(draws))
    return [compared(first.threshold(names), second.threshold(names)) for names in drawn]


def decided(found: Path) -> pd.DataFrame:
    """Return by G method and score what the draws say about the G method and the plain one."""
    of_main, lines = rows(found, "main"), {}
    for name, row in of_main.items():
        plain, is_g, _ = name.partition("-G ")
        if is_g and plain in of_main:
            lines[f"{name} − {plain}"] = [_told(row, of_main[plain], metric) for metric in METRICS]
    return pd.DataFrame.from_dict(lines, orient="index", columns=list(METRICS.values()))


def _told(row: Path, other: Path, metric: str) -> str:
    """Say where 95 % of the differences lie, and in how many draws each side wins."""
    first, second = Chosen.read(row, metric), Chosen.read(other, metric)
    if first is None or second is None or not first.held_out.keys() & second.held_out.keys():
        return ""
    differences = redrawn(first, second)
    low, high = np.quantile([one.mean for one in differences], [0.025, 0.975])
    sides = np.array([_side(one) for one in differences])
    better, worse = (sides < 0).mean(), (sides > 0).mean()
    sides_won = f"better in {100 * better:.0f} %, worse in {100 * worse:.0f} %"
    return f"{signed_interval(low, high)}, {sides_won}"


def _side(difference: Difference) -> int:
    """Return -1 if the first is lower, 1 if it is higher, and 0 if neither is sure."""
    is_sure = difference.p < LEVEL and not difference.low <= 0 <= difference.high
    return int(np.sign(difference.mean)) if is_sure else 0
