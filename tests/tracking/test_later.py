"""A run that is opened in a thread: what waits for it, what it raises, what it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Event

import pytest

from genattr.errors import UserError
from genattr.tracking import sqlite
from genattr.tracking.base import NoTracking, Run, closing
from genattr.tracking.later import Later, prepared
from genattr.tracking.mlflow import MlflowTracking


class Noted(Run):
    """A run that notes what it is told."""

    run_id = "a run"

    def __init__(self) -> None:
        self.told: list[str] = []

    def tag(self, key: str, value: str) -> None:
        self.told.append(f"{key}={value}")

    def close(self, status: str, ended: float | None = None) -> None:
        self.told.append(status)


class Slow(NoTracking):
    """A store that works once it is let, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.let, self.error, self.run = Event(), error, Noted()

    def prepare(self) -> None:
        assert self.let.wait(10)
        if self.error is not None:
            raise self.error

    def start(self, name: str, params: Mapping[str, str], tags: Mapping[str, str]) -> Run:
        return self.run


def opened(store: Slow) -> Later:
    return Later(prepared(store), lambda: store.start("", {}, {}))


def test_work_begins_before_the_run_is_open() -> None:
    store = Slow()
    with closing(opened(store)) as run:
        run.confirm()
        store.let.set()
        assert run.run_id == "a run"
    assert store.run.told == ["FINISHED"]


@pytest.mark.parametrize(
    ("error", "told"),
    [(KeyboardInterrupt(), ["KILLED"]), (ValueError("no"), ["error=ValueError: no", "FAILED"])],
)
def test_a_run_is_closed_that_was_not_yet_open_when_work_failed(
    error: BaseException, told: list[str]
) -> None:
    def work() -> None:
        with closing(opened(store)):
            store.let.set()
            raise error

    store = Slow()
    with pytest.raises(type(error)):
        work()
    assert store.run.told == told


def test_the_error_of_the_opening_ends_the_work() -> None:
    def work() -> None:
        with closing(opened(store)) as run:
            run.confirm()
            store.let.set()
            with pytest.raises(UserError):
                _ = run.run_id  # waits
            run.confirm()

    store = Slow(UserError("it does not work"))
    with pytest.raises(UserError, match="it does not work"):
        work()
    assert store.run.told == []


def test_a_store_that_cannot_be_reached_is_told_before_any_thread(tmp_path: Path) -> None:
    (tmp_path / "x.db").mkdir()
    with pytest.raises(UserError, match="does not work: unable to open database file"):
        prepared(MlflowTracking(f"sqlite:///{tmp_path}/x.db", "genattr"))


@pytest.mark.parametrize(
    "uri",
    ["sqlite:///x.db", "sqlite:////a b/ü#1/it's/x@y:z.db", "sqlite:///:memory:", "sqlite://",
     "sqlite+pysqlite:////a/x.db", "sqlite:////a%20b/x.db", "sqlite:////a/x.db?timeout=5"],
)  # fmt: skip
def test_files_are_sqlalchemys(uri: str) -> None:
    assert (sqlite._plain(uri) or sqlite._decoded(uri)) == sqlite._decoded(uri)
