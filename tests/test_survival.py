"""Sweeps whose members fail or are stopped: what is closed, what is told, what goes on later."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from genattr import config
from genattr.errors import INTERRUPTED
from genattr.method.center import Center
from genattr.results.summary import load_summary
from genattr.run.cost import MADE_UP
from genattr.types import Heatmap
from tests.conftest import REPO, photo_file
from tests.sweep.test_lifecycle import exit_code, places, runs

CHEAP = [
    "classifier=timm",
    "classifier.name=test_resnet",
    "classifier.pretrained=false",
    "method=center",
    "dataset=folder",
    "metric=[deletion]",
    "metric.deletion.tie_seeds=1",
    "threads=1",
]
Sweep = Callable[..., int | str | None]
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def sweep_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """Run a sweep over folders of photos in this process; return the exit code, or the message."""
    photo_file(tmp_path / "good" / "a.png")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "b.png").write_bytes(b"not a photo")

    def run(*folders: str) -> int | str | None:
        roots = ",".join(str(tmp_path / folder) for folder in folders)
        typed = ["-m", *CHEAP, *places(tmp_path), f"dataset.root={roots}"]
        return exit_code(monkeypatch, *typed)

    return run


def states(folder: Path) -> dict[tuple[str, str], int]:
    """Count the runs by kind and state."""
    return dict(Counter((run.data.tags["kind"], run.info.status) for run in runs(folder)))


def test_a_failed_member_is_named_and_the_same_command_goes_on(
    tmp_path: Path,
    sweep_here: Sweep,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    assert sweep_here("bad", "good") == 1
    told = capsys.readouterr().out
    assert f"Failed:        dataset.root={tmp_path}/bad: none of 1 photos could be read" in told
    assert "sweep_id=sweep" in told
    images = re.search(r"Sweep of 2 members: up to 2 heatmaps and (\d+) images", told)
    assert images is not None
    expected = {("sweep", "FAILED"): 1, ("member", "FAILED"): 1, ("member", "FINISHED"): 1}
    assert states(tmp_path) == expected
    scored = load_summary(tmp_path / "sweep" / "1").values["classifier_calls"]
    assert int(images[1]) >= 2 * scored

    photo_file(tmp_path / "bad" / "b.png")
    explained: list[str] = []
    explain = Center.explain

    def noting(self: Center, probe: object) -> Heatmap:
        explained.append(probe.sample.image_id)
        return explain(self, probe)

    monkeypatch.setattr(Center, "explain", noting)
    assert sweep_here("bad", "good") == 0
    assert [name for name in explained if name != MADE_UP] == ["b.png"]
    told = capsys.readouterr().out
    assert f"dataset.root={tmp_path}/good: finished before" in told
    assert "Failed:" not in told
    assert states(tmp_path) == {
        ("sweep", "FINISHED"): 1, ("attempt", "FAILED"): 1, ("member", "FINISHED"): 2,
    }  # fmt: skip
    (parent,) = [run for run in runs(tmp_path) if run.data.tags["kind"] == "sweep"]
    members = [run for run in runs(tmp_path) if run.data.tags["kind"] == "member"]
    assert {run.data.tags["mlflow.parentRunId"] for run in members} == {parent.info.run_id}

    before = (tmp_path / "sweep" / "0" / "summary.json").read_bytes()
    answer = sweep_here("good", "bad")
    assert str(answer).startswith("genattr: member 0 of the sweep (")
    assert "holds a finished member of another sweep (dataset.root=" in str(answer)
    assert (tmp_path / "sweep" / "0" / "summary.json").read_bytes() == before


def test_ctrl_c_closes_member_and_sweep_and_the_rest_is_told(
    tmp_path: Path,
    sweep_here: Sweep,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    photo_file(tmp_path / "also" / "c.png")
    explain = Center.explain

    def stop(self: Center, probe: object) -> Heatmap:
        if probe.sample.image_id == "c.png":
            raise KeyboardInterrupt
        return explain(self, probe)

    monkeypatch.setattr(Center, "explain", stop)
    assert sweep_here("good", "also", "bad") == INTERRUPTED
    assert states(tmp_path) == {
        ("sweep", "KILLED"): 1, ("member", "FINISHED"): 1, ("member", "KILLED"): 1,
    }  # fmt: skip
    told = capsys.readouterr().err
    assert "1 of 3 members have finished; to go on: " in told
    assert told.endswith("sweep_id=sweep\n")
    (parent,) = [run for run in runs(tmp_path) if run.data.tags["kind"] == "sweep"]
    for folder in ("also", "bad"):
        assert f"dataset.root={tmp_path}/{folder}: did not finish" in parent.data.tags["failed"]
    assert f"dataset.root={tmp_path}/good:" not in parent.data.tags["failed"]


@pytest.mark.parametrize(("typed", "name"), [("sweep_id=mine", r"mine"), (None, r"\d{4}-.*")])
def test_a_sweep_id_names_the_sweeps_folder(typed: str | None, name: str) -> None:
    config.register()
    with initialize_config_dir(str(REPO / "conf"), version_base="1.3"):
        cfg = compose("config", overrides=[typed] if typed else [], return_hydra_config=True)
    assert re.fullmatch(f"{re.escape(str(REPO))}/multirun/{name}", cfg.hydra.sweep.dir)


def test_what_sigkill_left_open_is_closed_by_the_next_command(
    tmp_path: Path, sweep_here: Sweep
) -> None:
    folders = [f"photos{number}" for number in range(4)]
    for folder in folders:
        photo_file(tmp_path / folder / "a.png")
    roots = ",".join(str(tmp_path / folder) for folder in folders)
    typed = [sys.executable, "run.py", "-m", *CHEAP, *places(tmp_path), f"dataset.root={roots}"]
    sweep = subprocess.Popen(typed, cwd=REPO, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    first = tmp_path / "sweep" / "0" / "member.json"
    while not first.exists():
        assert sweep.poll() is None
        time.sleep(0.02)
    sweep.kill()
    sweep.wait()
    open_before = sum(count for (_, state), count in states(tmp_path).items() if state == "RUNNING")
    assert open_before >= 1  # the sweep's own run
    assert sweep_here(*folders) == 0
    after = states(tmp_path)
    assert after.pop(("attempt", "KILLED"), 0) == open_before - 1
    assert after == {("sweep", "FINISHED"): 1, ("member", "FINISHED"): 4}
