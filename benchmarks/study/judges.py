"""Whether a metric ranks the methods alike, whatever filler stands in its holes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean

import pandas as pd
from scipy.stats import kendalltau

from benchmarks.study.plan import TABLE, rows

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "deletion": {
        "gray": "deletion/auc",
        "blur": "deletion_blur/auc",
        "mirror": "deletion_mirror/auc",
        "lightfill": "deletion_lightfill/auc",
    },
    "insertion": {
        "gray": "insertion_gray/auc",
        "blur": "insertion/auc",
        "mirror": "insertion_mirror/auc",
        "lightfill": "insertion_lightfill/auc",
    },
    "SRG": {name: f"srg_{name}/gain" for name in ("gray", "blur", "mirror", "lightfill")},
}

BASELINES = ["full", "random"]  # which any judge tells from a method


def means(found: Path, group: str = "main") -> dict[str, pd.DataFrame]:
    """Return by metric the mean score of each row under each filler, over common photos."""
    columns = [column for fillers in COLUMNS.values() for column in fillers.values()]
    scores: dict[str, pd.DataFrame] = {}
    for name, folder in rows(found, group).items():
        table = pd.read_parquet(folder / TABLE)
        if set(columns) <= set(table.columns):
            scored = table[table["split"] == "evaluation"].set_index("image_id")[columns].dropna()
            scores[name] = scored.astype(float)
    common = set.intersection(*(set(frame.index) for frame in scores.values())) if scores else set()
    photos = sorted(common)
    averaged = pd.DataFrame({row: frame.loc[photos].mean() for row, frame in scores.items()}).T
    result = {}
    for metric, fillers in COLUMNS.items():
        part = averaged.reindex(columns=list(fillers.values()))
        part.columns = list(fillers)
        part.attrs["photos"] = len(photos)
        result[metric] = part
    return result


def overall(judged: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    """Return by metric the mean of Kendall's tau over all pairs of fillers.

    Parameters
    ----------
    judged
        Of ``means``; metrics without two rows are left out.
    """
    taus = {name: agreement(scores) for name, scores in judged.items() if len(scores) > 1}
    return {name: fmean(of.values()) for name, of in taus.items()}


def agreement(scores: pd.DataFrame) -> dict[tuple[str, str], float]:
    """Return Kendall's tau of the methods' order under each two fillers, without the baselines."""
    scores = scores.drop(index=BASELINES, errors="ignore")
    pairs: Sequence[tuple[str, str]] = list(combinations(scores.columns, 2))
    return {
        (one, other): float(kendalltau(scores[one], scores[other]).statistic)
        for one, other in pairs
    }
