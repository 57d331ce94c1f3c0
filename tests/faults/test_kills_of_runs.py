"""SIGKILL of a run in every phase and at random moments: nothing is lost, repeated or half read."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from benchmarks.kills import arm
from genattr import claims
from genattr.run import experiment, outputs, worker
from genattr.scoring import Scorer
from genattr.store import archive
from genattr.store.heatmaps import HeatmapStore
from genattr.store.scores import ScoreStore
from genattr.tracking.mlflow import MlflowRun, MlflowTracking
from tests.faults import killing
from tests.faults.conftest import Tally
from tests.faults.killing import KILLED, Lab, Watched

EACH = 2  # kills of a phase
BY_CLOCK = 24
WORDS = killing.SP
PHASES: Watched = {
    "photos are chosen": ([(experiment, "select")], None),
    "its folder is claimed": ([(claims, "_linked")], None),
    "its folder has just been claimed": ([(claims, "_linked")], killing.after),
    "its record is opened": (
        [(MlflowTracking, "prepare"), (MlflowTracking, "start"), (MlflowRun, "parameters")],
        None,
    ),
    "a heatmap is computed": ([(Scorer, "logits")], None),
    "a heatmap is written": ([(archive, "_row")], None),
    "half a heatmap file is there": ([(archive, "write")], killing.half_first),
    "a heatmap has just been written": ([(HeatmapStore, "put")], killing.after),
    "a heatmap is scored": ([(worker, "score")], None),
    "scores are written": ([(ScoreStore, "put")], None),
    "scores have just been written": ([(ScoreStore, "put")], killing.after),
    "a file is about to take its place": ([(os, "replace")], None),
    "a file has just taken its place": ([(os, "replace")], killing.after),
    "results are summed up": ([(outputs, "summarize")], killing.after),
    "half a text file is there": ([(Path, "write_text")], killing.half_text),
    "half a table is there": ([(pd.DataFrame, "to_parquet")], killing.half_second),
    "half the photos of its pictures are there": ([(np, "savez_compressed")], killing.half_first),
    "half a picture is there": ([(Figure, "savefig")], killing.half_second),
    "it is recorded": (
        [(MlflowRun, name) for name in ("metrics", "describe", "files", "examples")],
        None,
    ),
    "its record is about to be closed": ([(MlflowRun, "close")], None),
    "its record has just been closed": ([(MlflowRun, "close")], killing.after),
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def whole(lab: Lab) -> Path:
    """A place whose run nobody kills."""
    place = lab.place()
    lab.run(place, *WORDS)
    return place


@pytest.fixture(scope="module")
def calls(lab: Lab) -> dict[str, int]:
    """How often the functions of each phase are called."""
    process = lab.start(lab.place(), *WORDS, armed=killing.counting(PHASES))
    code, told = process.wait()
    assert code == 0
    return {name: count for name, (count,) in json.loads(told).items()}


def check(lab: Lab, place: Path, whole: Path) -> None:
    killing.check_kept(place, whole)
    if (place / "single").is_dir():
        killing.check_whole(place / "single", whole / "single")
    killing.check_rerun(lab, place, whole, *WORDS)


@pytest.mark.parametrize("phase", PHASES)
def test_a_run_is_killed(
    lab: Lab, whole: Path, calls: dict[str, int], phase: str, tally: Tally
) -> None:
    watched, kill = PHASES[phase]
    for nth in killing.spread(calls[phase], EACH):
        place = lab.place()
        process = lab.start(place, *WORDS, armed=lambda nth=nth: arm(watched, nth, kill))
        assert process.wait()[0] == KILLED, killing.printed(place)
        tally(f"SIGKILL of a run while {phase}")
        check(lab, place, whole)


def test_a_run_is_killed_over_and_over_at_random_moments(
    lab: Lab, whole: Path, tally: Tally
) -> None:
    begun = time.monotonic()
    lab.run(lab.place(), *WORDS)
    seconds = time.monotonic() - begun
    draws = np.random.default_rng(21)
    for _ in range(BY_CLOCK):
        place = lab.place()
        killing.at_random(lambda place=place: lab.start(place, *WORDS), seconds, draws)
        tally("SIGKILL of a run at a random moment")
        check(lab, place, whole)
