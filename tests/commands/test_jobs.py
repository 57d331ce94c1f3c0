"""What Hydra starts: flags, what a stop says, what logs get, and that refusals leave nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from genattr import console, stopping
from genattr.commands import jobs
from genattr.errors import INTERRUPTED, TERMINATED, UserError
from tests.conftest import REPO

SMALL = [
    *("classifier=timm", "classifier.name=test_resnet", "classifier.pretrained=false"),
    *("metric=[deletion]", "metric.deletion.pixels_per_step=1000", "threads=1", "method.stride=4"),
]


def test_flags_may_stand_anywhere() -> None:
    line = jobs.parse(["method=sp", "-m", "seed=1,2", "--config-dir", "conf"])
    assert list(line.flags) == ["-m", "--config-dir", "conf"]
    assert list(line.words) == ["method=sp", "seed=1,2"]
    assert line.chosen.multirun


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--multirnu"], "--multirnu: no such flag; did you mean --multirun?"),
        (["-x"], "-x: no such flag"),
        (["seed=1", "--config-dir"], "--config-dir: expected one argument"),
        (["--cfg", "jobs"], "--cfg: invalid choice: 'jobs'"),
    ],
)
def test_a_wrong_flag_is_told_in_one_line(words: list[str], told: str) -> None:
    with pytest.raises(UserError) as refused:
        jobs.parse(words)
    assert str(refused.value).startswith(told)
    assert "\n" not in str(refused.value)


def started(folder: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    """Start genattr in a folder, in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "genattr", *SMALL, *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPO)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for_heatmap(folder: Path, process: subprocess.Popen[str]) -> None:
    """Return when the first heatmap is stored."""
    end = time.monotonic() + 240
    while not list(folder.glob("heatmaps/*/*.npz")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.05)


def statuses(folder: Path) -> set[str]:
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiments = [one.experiment_id for one in client.search_experiments()]
    return {run.info.status for run in client.search_runs(experiments)}


@pytest.mark.slow
def test_ctrl_c_in_a_sweep_ends_in_one_line(tmp_path: Path) -> None:
    process = started(tmp_path, "-m", "seed=0,1", "sweep_id=mine", "method=sp")
    wait_for_heatmap(tmp_path, process)
    os.killpg(process.pid, signal.SIGINT)
    told = process.communicate(timeout=240)[0]
    assert process.returncode == INTERRUPTED
    assert "Traceback" not in told
    assert "\x1b" not in told
    last = told.splitlines()[-1]
    assert last.startswith("genattr: stopped; ")
    assert "heatmaps are finished and kept; 0 of 2 members have finished; to go on: " in last
    assert last.endswith(" method=sp sweep_id=mine")
    assert told.splitlines()[0] == f"genattr 0.1.0: results go to {tmp_path}/multirun/mine"
    assert statuses(tmp_path) == {"KILLED"}


def test_ctrl_c_while_modules_are_imported(tmp_path: Path) -> None:
    process = started(tmp_path, "method=sp")
    assert process.stdout is not None
    assert "results go to" in process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    told = process.communicate(timeout=240)[0]
    assert process.returncode == INTERRUPTED
    assert told.startswith("genattr: stopped")
    assert len(told.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def stop(error: BaseException) -> None:
    """End the work of a command, which another one has started, by an exception."""
    kept = stopping.keeping(lambda: "all"), stopping.keeping(lambda: "3 of 4")
    with stopping.in_one_line(), stopping.in_one_line(), kept[0], kept[1]:
        raise error


@pytest.mark.parametrize("code", [INTERRUPTED, TERMINATED])
def test_a_stop_says_what_was_kept(code: int, capsys: pytest.CaptureFixture[str]) -> None:
    asks = KeyboardInterrupt if code == INTERRUPTED else SystemExit
    with pytest.raises(SystemExit) as stopped:
        stop(asks(code))
    assert stopped.value.code == code
    assert capsys.readouterr().err == "genattr: stopped; 3 of 4; all\n"


def asked_again(first: signal.Signals, closed: list[str]) -> None:
    """Work that is asked to stop, and again while it closes."""
    with stopping.in_one_line():
        try:
            os.kill(os.getpid(), first)
            time.sleep(10)
        finally:
            for again in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
                os.kill(os.getpid(), again)
            closed.append("in order")


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_what_asks_again_does_not_break_the_closing(first: signal.Signals) -> None:
    before, closed = signal.getsignal(signal.SIGINT), list[str]()
    with pytest.raises(SystemExit):
        asked_again(first, closed)
    signal.signal(signal.SIGINT, before)
    assert closed == ["in order"]


def test_other_ends_say_nothing_of_what_was_kept(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="genattr: no"):
        stop(SystemExit("genattr: no"))
    assert capsys.readouterr().err == ""


def test_a_log_gets_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    with console.bar("SP", 1000, 2) as bar:
        for _ in range(1000):
            now[0] += 1
            bar.finished()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1000 // 61 + 1  # one a minute, as a tenth takes longer, and the last
    assert lines[0].startswith("SP: 6 %, heatmap 61/1000")
    assert lines[-1].startswith("SP: 100 %, heatmap 1000/1000")
    with console.bar("SP", 1000, 2) as bar:
        for _ in range(1000):
            now[0] += 0.1
            bar.finished()
    assert len(capsys.readouterr().out.splitlines()) == 10


@pytest.mark.parametrize("variables", [{"TERM": "dumb"}, {"NO_COLOR": "1"}, {"FORCE_COLOR": "1"}])
def test_a_pipe_gets_no_cursor_movement(variables: dict[str, str]) -> None:
    script = (
        "from genattr import console\n"
        "with console.bar('SP', 2, 1) as bar: bar.finished(); bar.finished()\n"
        "list(console.watched('choosing', [1, 2], 2))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPO, env=os.environ | variables,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert len(done.stdout.splitlines()) == 1
    assert "\x1b[?25" not in done.stdout
    assert "\r" not in done.stdout
