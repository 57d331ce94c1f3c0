"""Databases in folders of any name, and made by several processes at once."""

from __future__ import annotations

import shlex
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import create_engine, text

from genattr.errors import UserError
from genattr.tracking import fetch, mlflow, sqlite
from genattr.tracking.base import condition
from genattr.tracking.mlflow import MlflowTracking
from tests.conftest import REPO

NAMES = [
    "plain",
    "50%20x",
    "a?b",
    "50%",
    "%3F",
    "a#b",
    "it's",
    'a"b',
    "a b",
    "ümläut",
    "a?b=1&c=%25",
]


@pytest.mark.parametrize("name", NAMES)
def test_the_database_is_in_the_folder_of_that_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    uri = sqlite.address(f"sqlite:///{folder}/later/x.db")
    assert sqlite.file_of(uri) == folder / "later" / "x.db"
    with sqlite.alone(uri):
        pass
    with create_engine(uri).begin() as opened:
        opened.execute(text("CREATE TABLE found (x INTEGER)"))
    with sqlite3.connect(folder / "later" / "x.db") as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("found",)]
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:///mlflow.db",
        "sqlite:////nowhere/my%20runs/x.db",
        "sqlite:////tmp/x.db?timeout=5",
        "sqlite:////tmp/x.db?vfs=/a/b",
        "sqlite://",
        "sqlite:///:memory:",
        "http://localhost:5000/a%20b?c",
        "postgresql://u:p%25w@host/db?x=1",
        "mlruns",
    ],
)
def test_other_addresses_stay_as_they_are(uri: str) -> None:
    assert sqlite.address(uri) == uri


def test_encoded_names_are_decoded_where_no_folder_has_them_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "my runs").mkdir()
    assert sqlite.file_of(sqlite.address(f"sqlite:///{tmp_path}/my%20runs/x.db")) == (
        tmp_path / "my runs" / "x.db"
    )


def test_runs_are_recorded_and_found_from_a_folder_with_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "ü 50%20a?b#c'd\"e;f&g"
    folder.mkdir()
    monkeypatch.chdir(folder)  # MLflow writes the working folder into a new database
    result = folder / "result.txt"
    result.write_text("kept")
    uri = f"sqlite:///{folder}/mlflow.db"
    tracking = MlflowTracking(uri, "it's 50% #1?")
    tracking.prepare()
    run = tracking.start("a ? b", {"key": "%"}, {"kind": "run", "sweep": "it's"})
    run.files([result])
    assert tracking.find({"kind": "run", "sweep": "it's"}) == [run.run_id]
    got = fetch.download(run.run_id, uri, tmp_path / "got", [result.name])
    assert (got / result.name).read_text() == "kept"
    left = {result.name, "mlflow.db", ".mlflow.db.lock", "mlartifacts"}
    assert {path.name for path in folder.iterdir()} == left
    command = shlex.split(tracking.how_to_look_at_run(run.run_id).splitlines()[0])
    told = command[command.index("--backend-store-uri") + 1]
    assert MlflowClient(told).get_run(run.run_id).info.run_name == "a ? b"


MAKE = """
import sys
from genattr.tracking.mlflow import MlflowTracking
tracking = MlflowTracking(sys.argv[1], "genattr")
tracking.prepare()
tracking.start("first", {}, {"kind": "run"}).close("FINISHED")
"""


def test_a_database_that_many_processes_make_at_once_serves_them_all(tmp_path: Path) -> None:
    words = [sys.executable, "-c", MAKE, f"sqlite:///{tmp_path}/new.db"]
    started = [
        subprocess.Popen(words, cwd=REPO, stderr=subprocess.PIPE, text=True) for _ in range(5)
    ]
    errors = [process.communicate(timeout=300)[1] for process in started]
    assert [process.returncode for process in started] == [0] * 5, errors
    client = MlflowClient(f"sqlite:///{tmp_path}/new.db")
    (experiment,) = client.search_experiments(filter_string="name = 'genattr'")
    assert len(client.search_runs([experiment.experiment_id])) == 5


def test_a_file_that_is_no_database_is_told_at_once(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "note.txt"):
        if path != tmp_path:
            path.write_text("This is a note, and no database at all." * 9)
        start = time.monotonic()
        with pytest.raises(UserError, match=r"^tracking\.uri=sqlite:///.* does not work: ") as told:
            MlflowTracking(f"sqlite:///{path}", "genattr").prepare()
        assert "\n" not in str(told.value)
        assert time.monotonic() - start < 5


def test_a_database_that_another_process_holds_for_long_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "LONGEST_WAIT", 0.1)
    uri = f"sqlite:///{tmp_path}/x.db"
    with (
        sqlite.alone(uri),
        pytest.raises(UserError, match=r"\.x\.db\.lock: another process has held this for 0 s"),
        sqlite.alone(uri),
    ):
        pass


def test_where_the_file_system_has_no_locks_it_goes_on_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(sqlite.FileLock, "acquire", refuse)
    with sqlite.alone(f"sqlite:///{tmp_path}/x.db"):
        assert (tmp_path / "x.db").exists()


class Server:
    """A client of a server on which another process makes the experiment first."""

    def __init__(self) -> None:
        self.made: SimpleNamespace | None = None

    def get_experiment_by_name(self, name: str) -> SimpleNamespace | None:
        return self.made

    def create_experiment(self, name: str, location: str | None) -> str:
        self.made = SimpleNamespace(experiment_id="7", lifecycle_stage="active")
        raise MlflowException("Experiment(name=genattr) already exists.")

    def search_runs(self, *_: object, **__: object) -> object:
        page = type("Page", (list,), {"token": None})
        return page()


def test_an_experiment_that_another_process_has_just_made_is_taken() -> None:
    tracking = MlflowTracking("mlruns", "genattr")
    tracking.__dict__["client"] = Server()
    assert tracking._experiment_id == "7"


def test_tables_that_another_process_makes_at_this_moment_are_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries = []

    def close(self: MlflowTracking) -> None:
        tries.append(self)
        if len(tries) < 3:
            raise RuntimeError('relation "runs" already exists')

    monkeypatch.setattr(MlflowTracking, "_close_left_open", close)
    monkeypatch.setattr(mlflow, "PAUSES", (0, 0, 0))
    MlflowTracking("mlruns", "genattr").prepare()
    assert len(tries) == 3


@pytest.mark.parametrize(
    ("value", "written"),
    [("a", "'a'"), ("it's", '"it\'s"'), ('a"b', "'a\"b'"), ("%", "'%'")],
)
def test_a_condition_quotes_as_mlflow_can_read_it(value: str, written: str) -> None:
    assert condition({"sweep": value, "kind": "run"}) == f"tags.sweep={written} and tags.kind='run'"


def test_a_name_that_sqlalchemy_cannot_take_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a?b").mkdir()
    monkeypatch.setattr(sqlite, "file_of", lambda uri: Path(uri.partition("?")[0]))
    with pytest.raises(UserError, match=r"^tracking\.uri=.*a\?b/x\.db: the installed SQLAlchemy"):
        MlflowTracking(f"sqlite:///{tmp_path}/a?b/x.db", "genattr").prepare()
