"""How much of Tables 2 and 4 is decided by the photos that choose a threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.study.beyond import SCORES
from benchmarks.study.merge import metrics_of
from benchmarks.study.plan import counterparts, rows
from genattr.analysis.statistics import Difference, paired
from genattr.metric.thresholds import ThresholdMetric
from genattr.report.table import decides, signed_interval
from genattr.results.finished import Member, records
from genattr.results.summary import Row, rows_of_metric

DRAWS = 1000
COLUMNS = ("localization/error", "saliency/score")


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
    def read(cls, row: Path, column: str) -> Chosen | None:
        """Read what a column was chosen from; None if the row was not scored by its metric."""
        name, _, _ = column.partition("/")
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
    """Compare two rows as often as the photos for choices, of both, are drawn with replacement.

    Empty if they have no such photos in common.
    """
    photos = [photo for photo in first.evaluated if photo in second.evaluated]
    choices = sorted(first.held_out.keys() & second.held_out.keys())
    losses = first.losses(photos), second.losses(photos)

    @cache
    def compared(one: int, other: int) -> Difference:
        return paired(losses[0][:, one], losses[1][:, other], better="lower")

    generator = np.random.default_rng(0)
    drawn = (
        generator.choice(choices, len(choices)).tolist() for _ in range(draws if choices else 0)
    )
    return [compared(first.threshold(names), second.threshold(names)) for names in drawn]


def told(differences: Sequence[Difference]) -> str:
    """Say where 95 % of the differences lie, and in how many draws the first is better or worse."""
    if not differences:
        return ""
    low, high = np.quantile([one.mean for one in differences], [0.025, 0.975])
    decided = np.array([one.mean if decides(one, one.p) else 0 for one in differences])
    better, worse = 100 * (decided < 0).mean(), 100 * (decided > 0).mean()
    return f"{signed_interval(low, high)}, better in {better:.0f} %, worse in {worse:.0f} %"


def by_pair(found: Path) -> pd.DataFrame:
    """Return by G method and score what the draws say about the G method and the plain one."""
    of_main, lines = rows(found, "main"), {}
    for name, plain in counterparts(of_main).items():
        cells = lines.setdefault(f"{name} − {plain}", [])
        for column in COLUMNS:
            first, second = (Chosen.read(of_main[row], column) for row in (name, plain))
            cells.append(told(redrawn(first, second)) if first and second else "")
    heads = [SCORES[column].name for column in COLUMNS]
    return pd.DataFrame.from_dict(lines, orient="index", columns=heads)
