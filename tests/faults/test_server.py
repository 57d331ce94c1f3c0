"""Commands whose tracking server goes away at some request, in each of the ways that servers do."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from genattr import commands
from genattr.tracking.journal import FILES
from tests.conftest import REPO
from tests.faults.conftest import Tally
from tests.faults.servers import HANG, REFUSE, Switch, end, free_port, serve
from tests.tracking.away import recorded

TOY = [
    "classifier=timm", "classifier.name=test_resnet", "classifier.pretrained=false",
    "metric=[deletion]", "threads=1", "selection.limit=2",
]  # fmt: skip
BEFORE_THE_RECORD = 7  # requests of a run or a sweep before its record is open
QUICK = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "2", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """The folder of a server, and its port."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    server = serve(folder, port)
    yield folder, port
    end(server)


def command(switch: Switch, folder: Path, name: str, *words: str) -> tuple[int, str]:
    """Run in a folder, under an experiment of its own; return the exit code and what was told."""
    kind = "sweep" if "-m" in words else "run"
    typed = [
        sys.executable, "run.py", *words, *TOY, f"tracking.uri={switch.url}",
        f"tracking.experiment={name}", f"store={folder}/heatmaps", f"hydra.{kind}.dir={folder}/it",
    ]  # fmt: skip
    ended = subprocess.run(
        typed,
        cwd=REPO,
        env={**os.environ, **QUICK},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=400,
    )
    assert "Traceback" not in ended.stdout
    return ended.returncode, ended.stdout


def runs(port: int, name: str) -> list[dict[str, Any]]:
    """Return what the server has of an experiment."""
    found = recorded(Path("/"), f"http://127.0.0.1:{port}", name)
    for run in found:  # whose description has names of folders, and ends with the command
        note = run["tags"].get("mlflow.note.content", "").partition("```")[0]
        run["tags"]["mlflow.note.content"] = re.sub(r"`/?tmp\S*", "", note)
    return sorted(found, key=lambda run: run["tags"]["mlflow.runName"])


@pytest.fixture(scope="module")
def whole(place: tuple[Path, int], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a server that stays has of a run."""
    code, told = command(
        Switch(place[1]), tmp_path_factory.mktemp("whole"), "whole", "method=center"
    )
    assert code == 0, told
    (run,) = runs(place[1], "whole")
    assert run["status"] == "FINISHED"
    return run


@pytest.mark.parametrize(
    ("after", "then"),
    [(7, REFUSE), (8, REFUSE), (25, REFUSE), (33, REFUSE), (22, HANG), (9, "401"), (16, "413"),
     (12, "500")],
)  # fmt: skip
def test_a_run_ends_well_however_its_server_goes_away(
    tmp_path: Path,
    place: tuple[Path, int],
    whole: dict[str, Any],
    after: int,
    then: str,
    tally: Tally,
) -> None:
    name, switch = f"{then} after {after}", Switch(place[1], after, then)
    code, told = command(switch, tmp_path, name, "method=center")
    assert code == 0, told
    assert "Not recorded:  1 run, " in told
    assert (tmp_path / "it" / "summary.json").is_file()
    switch.on()
    commands.start("sync", [str(tmp_path)])
    assert runs(place[1], name) == [whole]
    tally(f"runs whose server goes away: {then}")


def test_a_report_of_a_folder_needs_no_server(
    tmp_path: Path, place: tuple[Path, int], caplog: pytest.LogCaptureFixture, tally: Tally
) -> None:
    code, told = command(Switch(place[1], 25), tmp_path, "reported", "method=center")
    assert code == 0, told
    commands.start("report", [str(tmp_path / "it"), "--out", str(tmp_path / "page")])
    assert (tmp_path / "page" / "report.html").is_file()
    assert "does not answer" in caplog.text
    assert "what is found is not added to the record" in caplog.text
    tally("reports while the server is away")


def test_a_sweep_that_cannot_open_its_record_is_refused(
    tmp_path: Path, place: tuple[Path, int], tally: Tally
) -> None:
    switch = Switch(place[1], BEFORE_THE_RECORD)
    code, told = command(switch, tmp_path, "refused", "-m", "method=center,random")
    assert code == 1
    assert told.count(f"genattr: tracking.uri={switch.url} does not work: ") == 1
    assert not list(tmp_path.rglob("summary.json"))
    tally("sweeps whose server goes away before their record is open")


@pytest.mark.parametrize(
    ("after", "words", "kinds"),
    [
        (34, ["method=random", "seed=1,2", "sensitivity.over=seed"], {"sweep": 1, "member": 2}),
        (45, ["method=center", "selection.shard.count=2", "selection.shard.index=0,1"],
         {"sweep": 1, "member": 1, "shard": 2}),
    ],
)  # fmt: skip
def test_a_sweep_is_whole_later(
    tmp_path: Path,
    place: tuple[Path, int],
    after: int,
    words: list[str],
    kinds: dict[str, int],
    tally: Tally,
) -> None:
    code, told = command(Switch(place[1]), tmp_path / "a", f"stays {after}", "-m", *words)
    assert code == 0, told
    switch = Switch(place[1], after)
    code, told = command(switch, tmp_path / "b", f"goes {after}", "-m", *words)
    assert code == 0, told
    assert "Not recorded:  " in told
    switch.on()
    commands.start("sync", [str(tmp_path / "b")])
    found = runs(place[1], f"goes {after}")
    assert Counter(run["tags"]["kind"] for run in found) == kinds
    assert all(run["status"] == "FINISHED" for run in found)
    assert [numbers(run) for run in found] == [
        numbers(run) for run in runs(place[1], f"stays {after}")
    ]
    client = MlflowClient(f"http://127.0.0.1:{place[1]}")
    experiment = client.get_experiment_by_name(f"goes {after}").experiment_id
    raw = client.search_runs([experiment])
    (parent,) = (run.info.run_id for run in raw if run.data.tags["kind"] == "sweep")
    above = {run.data.tags.get("mlflow.parentRunId") for run in raw}
    assert above == {None, parent}
    tally("sweeps whose server goes away")


def numbers(run: dict[str, Any]) -> tuple[Any, ...]:
    """Return of a run what another one of the same settings has, too."""
    metrics = {key: value for key, value in run["metrics"].items() if "calls" not in key}
    return run["tags"]["mlflow.runName"], run["tags"]["kind"], metrics, run["files"]


def test_a_sync_that_is_killed_records_nothing_twice(
    tmp_path: Path, place: tuple[Path, int], whole: dict[str, Any], tally: Tally
) -> None:
    switch = Switch(place[1], BEFORE_THE_RECORD)
    code, told = command(switch, tmp_path, "killed", "method=center")
    assert code == 0, told
    switch.on()
    for count in (5, 9, 15, 12, 10):  # its own requests before it is killed
        switch.seen.clear()
        sync = subprocess.Popen([sys.executable, "run.py", "sync", str(tmp_path)], cwd=REPO)
        while sync.poll() is None and len(switch.seen) < count:
            time.sleep(0.002)
        sync.send_signal(signal.SIGKILL)
        sync.wait()
        tally("syncs that are killed")
    commands.start("sync", [str(tmp_path)])
    assert list(tmp_path.rglob(FILES)) == []
    assert runs(place[1], "killed") == [whole]
