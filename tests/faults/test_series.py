"""A series whose process, or that of a part, is ended: nothing stays open, and it goes on."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from genattr.errors import INTERRUPTED, TERMINATED
from tests.conftest import REPO
from tests.faults.conftest import Tally
from tests.sweep.test_series import SMALL, write_series
from tests.toys import FATAL

WORDS = ["--config-dir", "own", "experiment=mine", *SMALL, "sweep_id=mine"]
VARIED = {"deadly": "method._target_: tests.toys.Fatal", "last": "seed: 0"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the configuration of a series, whose first part sends a signal."""
    write_series(tmp_path / "own", VARIED)
    return tmp_path


def command(folder: Path, fatal: str = "") -> subprocess.CompletedProcess[str]:
    """Run the series in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "genattr", *WORDS],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPO), **({FATAL: fatal} if fatal else {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )


def recorded(folder: Path) -> list[Run]:
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    return client.search_runs([one.experiment_id for one in client.search_experiments()])


def statuses(folder: Path) -> set[str]:
    return {run.info.status for run in recorded(folder)}


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)]
)
def test_a_series_that_is_stopped_ends_its_part_in_order(
    place: Path, number: int, code: int, tally: Tally
) -> None:
    done = command(place, f"camera {number:d} parent")
    tally(f"{signal.Signals(number).name} to a series while a part explains")
    assert done.returncode == code, done.stdout
    assert {"KILLED"} <= statuses(place) <= {"KILLED", "FINISHED"}, done.stdout
    *_, of_part, last = done.stdout.splitlines()
    assert last.startswith("genattr: stopped; 0 of 2 parts have finished; to go on: ")
    for line in (of_part, last):
        assert line.endswith(f"; to go on: python -m genattr {shlex.join(WORDS)}")
    assert "Traceback" not in done.stdout
    assert "Part 2" not in done.stdout


def test_a_part_that_is_killed_is_named_and_the_others_run(place: Path, tally: Tally) -> None:
    done = command(place, f"camera {signal.SIGKILL:d} self")
    tally("SIGKILL of a part of a series")
    assert done.returncode == 1, done.stdout
    (told,) = [line for line in done.stdout.splitlines() if line.startswith("Failed: ")]
    assert "deadly: its process was ended by SIGKILL, probably for want of memory" in told
    assert (place / "multirun" / "mine-last" / "0" / "summary.json").is_file()


def test_a_series_that_is_killed_takes_its_part_along_and_goes_on(
    place: Path, tally: Tally
) -> None:
    done = command(place, f"camera {signal.SIGKILL:d} parent")
    tally("SIGKILL of a series while a part explains")
    assert done.returncode == -signal.SIGKILL
    time.sleep(1)
    again = command(place)
    assert again.returncode == 0, again.stdout
    assert "RUNNING" not in statuses(place)
    (whole,) = [run for run in recorded(place) if run.data.tags["kind"] == "series"]
    assert whole.info.status == "FINISHED"
    client = MlflowClient(f"sqlite:///{place}/mlflow.db")
    assert "costs.md" in {file.path for file in client.list_artifacts(whole.info.run_id)}
    kept = {file.path for file in client.list_artifacts(whole.info.run_id, "report")}
    assert {"report/report.html", "report/table.md"} <= kept
