"""Whether the best run's lead is more than chance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genattr.analysis.statistics import estimate
from genattr.results.finished import Member
from genattr.results.lead import undecided
from genattr.results.summary import Summary

NOISE = np.random.default_rng(0).normal(size=(2, 40))


def member(folder: Path, scores: np.ndarray, direction: str = "lower") -> Member:
    """Write a run with one score a photo, and a held-out photo that counts for nothing."""
    folder.mkdir()
    names = [f"photo{index}" for index in range(len(scores))]
    rows = pd.DataFrame({"image_id": names, "deletion/auc": scores, "split": "evaluation"})
    rows.loc[len(rows)] = ["other", -100.0, "held_out"]
    rows.to_parquet(folder / "per_image.parquet")
    name = "deletion/auc"
    Summary(folder.name, "", {name: estimate(scores)}, {name: direction}, {}, len(scores)).save(
        folder
    )
    return Member(folder)


@pytest.mark.parametrize("direction", ["lower", "higher"])
@pytest.mark.parametrize(("shift", "is_open"), [(0.0, True), (3.0, False), (-3.0, False)])
def test_a_lead_is_undecided_where_its_interval_contains_zero(
    tmp_path: Path, direction: str, shift: float, is_open: bool
) -> None:
    pair = [
        member(tmp_path / "a", NOISE[0], direction),
        member(tmp_path / "b", NOISE[1] + shift, direction),
    ]
    told = "deletion: the best run's lead is within chance" if is_open else ""
    assert undecided(pair) == told


def test_one_run_and_few_photos_are_not_compared(tmp_path: Path) -> None:
    assert undecided([member(tmp_path / "a", NOISE[0])]) == ""
    few = [member(tmp_path / name, NOISE[0, :5]) for name in ("b", "c")]
    assert undecided(few) == ""
