"""Tracking stores that go away at any call, a server that stops, and a database that is locked."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from genattr import commands
from genattr.tracking.journal import FILES
from tests.conftest import REPO
from tests.faults.conftest import Tally
from tests.faults.servers import end, free_port, serve
from tests.tracking.away import away_after, recorded
from tests.tracking.test_journal import run

LOCKED = 60  # seconds


def test_the_store_may_go_away_at_any_call(tmp_path: Path, tally: Tally) -> None:
    with away_after(10_000) as seen:
        run(tmp_path / "whole")
    expected = recorded(tmp_path / "whole" / "mlflow.db")
    for count in range(len(seen)):
        folder = tmp_path / str(count)
        with away_after(count):
            run(folder)
        commands.start("sync", [str(folder)])
        assert recorded(folder / "mlflow.db") == expected, f"after {count} calls"
        assert list(folder.rglob(FILES)) == []
        tally("tracking stores that go away in mid-run, at each call, and a sync")


@pytest.mark.parametrize("phase", ["start", "middle"])
def test_a_database_that_is_locked_for_a_minute(tmp_path: Path, phase: str, tally: Tally) -> None:
    run(tmp_path)  # makes the database
    database = sqlite3.connect(tmp_path / "mlflow.db", check_same_thread=False)
    database.isolation_level = None

    def lock() -> None:
        database.execute("BEGIN EXCLUSIVE")
        time.sleep(LOCKED)
        database.execute("COMMIT")

    thread = threading.Thread(target=lock)
    if phase == "start":
        thread.start()
        time.sleep(0.5)
        run(tmp_path)
    else:
        with away_after(10_000) as seen:
            seen.append("")

            def when_begun() -> None:
                while len(seen) < 4:
                    time.sleep(0.01)
                lock()

            thread = threading.Thread(target=when_begun)
            thread.start()
            run(tmp_path)
    thread.join()
    database.close()
    commands.start("sync", [str(tmp_path)])
    first, second = recorded(tmp_path / "mlflow.db")
    assert first == second
    tally(f"databases locked for {LOCKED} s, at the run's {phase}")


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def server(tmp_path: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    started = serve(tmp_path, port)
    yield started
    end(started)


def test_a_sweep_goes_on_while_the_server_is_away(
    tmp_path: Path, server: subprocess.Popen[bytes], port: int, tally: Tally
) -> None:
    typed = [
        sys.executable, "run.py", "-m", "classifier=timm", "classifier.name=test_resnet",
        "classifier.pretrained=false", "method=center,random,boxes", "metric=[deletion]",
        "threads=1",
        "selection.limit=2", f"tracking.uri=http://127.0.0.1:{port}", f"store={tmp_path}/heatmaps",
        f"hydra.sweep.dir={tmp_path}/multirun/sweep",
    ]  # fmt: skip
    environment = {**os.environ, "MLFLOW_HTTP_REQUEST_TIMEOUT": "3"}
    sweep = subprocess.Popen(
        typed,
        cwd=REPO,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while not (tmp_path / "multirun" / "sweep" / "0" / "summary.json").exists():
        assert sweep.poll() is None, sweep.communicate()[0]
        time.sleep(0.02)
    end(server)
    told, _ = sweep.communicate(timeout=400)
    assert sweep.returncode == 0, told
    assert "Traceback" not in told
    assert "genattr sync records it later" in told
    back = serve(tmp_path, port)
    try:
        subprocess.run(
            [sys.executable, "run.py", "sync", str(tmp_path)], cwd=REPO, check=True, timeout=300
        )
        runs = recorded(tmp_path / "server.db", f"http://127.0.0.1:{port}")
    finally:
        end(back)
    assert [run["status"] for run in runs] == ["FINISHED"] * 4
    assert sum(run["tags"]["kind"] == "member" for run in runs) == 3
    assert all("deletion/auc" in run["metrics"] for run in runs if run["tags"]["kind"] == "member")
    tally("sweeps whose server goes away and comes back")
