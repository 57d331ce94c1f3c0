"""Where the tracking store goes away, the run goes on, and is recorded later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from genattr import claims, commands
from genattr.errors import UserError
from genattr.run import experiment
from genattr.tracking import journal
from genattr.tracking.base import NoTracking, Run
from genattr.tracking.journal import FILES, Journal, Kept, Opening, reopened
from genattr.tracking.mlflow import MlflowTracking
from tests.contract.options import small
from tests.tracking.away import away_after, recorded


def run(folder: Path) -> None:
    """Explain a photo, with a record."""
    chosen = ["classifier=timm", "method=center", "metric=[deletion]", "target=predicted"]
    place = [f"tracking.uri=sqlite:///{folder}/mlflow.db", "tracking=mlflow"]
    cfg = small(folder, *chosen, *place)
    experiment.run(cfg, folder / "outputs" / "run")


def journals(folder: Path) -> list[Path]:
    return list(folder.rglob(FILES))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict], int]:
    """What a store that stays has of the run, and after how many calls."""
    folder = tmp_path_factory.mktemp("whole")
    with away_after(10_000) as seen:
        run(folder)
    assert journals(folder) == []
    return recorded(folder / "mlflow.db"), len(seen)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_what_a_store_has_not_taken_is_recorded_later(
    tmp_path: Path,
    whole: tuple[list[dict], int],
    share: float,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture,
) -> None:
    expected, calls = whole
    with away_after(round(share * (calls - 1))):
        run(tmp_path)
    assert caplog.text.count("does not record any more (Connection refused): the run goes on") == 1
    assert (tmp_path / "outputs" / "run" / "summary.json").is_file()
    assert len(journals(tmp_path)) == 1
    commands.start("sync", [str(tmp_path), "--dry-run"])
    assert len(journals(tmp_path)) == 1
    commands.start("sync", [str(tmp_path)])
    assert recorded(tmp_path / "mlflow.db") == expected
    commands.start("sync", [str(tmp_path)])
    assert capsys.readouterr().out.endswith("All runs are recorded\n")
    assert recorded(tmp_path / "mlflow.db") == expected


def test_a_sync_that_breaks_off_goes_on(tmp_path: Path, whole: tuple[list[dict], int]) -> None:
    expected, calls = whole
    with away_after(1):
        run(tmp_path)
    with (
        away_after(calls // 2),
        pytest.raises(UserError, match="1 of 1 runs are not recorded: the same command goes on"),
    ):
        commands.start("sync", [str(tmp_path)])
    commands.start("sync", [str(tmp_path)])
    assert recorded(tmp_path / "mlflow.db") == expected


class Store(NoTracking):
    """A store in memory, which may be away."""

    def __init__(self) -> None:
        self.is_away, self.runs = False, {}

    @property
    def place(self) -> tuple[str, str]:
        return "http://store", "genattr"

    def start(
        self,
        name: str,
        params: Mapping[str, str],
        tags: Mapping[str, str],
        started: float | None = None,
    ) -> Run:
        run_id = f"run {len(self.runs)}"
        self.runs[run_id] = [f"start {name}"]
        return self.reopen(run_id)

    def reopen(self, run_id: str) -> Run:
        return Told(self, run_id)


class Told(Run):
    """A run of that store."""

    def __init__(self, store: Store, run_id: str) -> None:
        self.store, self.run_id = store, run_id

    def tell(self, what: str) -> None:
        if self.store.is_away:
            raise ConnectionError("away")
        self.store.runs[self.run_id].append(what)

    def metrics(
        self, values: Mapping[str, float], step: int = 0, measured: float | None = None
    ) -> None:
        assert measured is not None
        self.tell(f"{dict(values)} at {step}")

    def tag(self, key: str, value: str) -> None:
        self.tell(f"{key}={value}")

    def picture(self, key: str, step: int, pixels: np.ndarray) -> None:
        self.tell(f"{key} {step} {pixels.shape}")

    def close(self, status: str, ended: float | None = None) -> None:
        self.tell(status)

    def resume(self) -> None:
        self.tell("resumed")


class Nowhere(Run):
    """A run that could not be opened."""

    def close(self, status: str, ended: float | None = None) -> None:
        raise ConnectionError("away")


def synced(store: Store, folder: Path) -> None:
    store.is_away = False
    for file in journal.journals(folder):
        kept = Journal(file)
        kept.record(kept.open(store))


def test_what_is_added_to_a_run_that_had_ended_leaves_it_ended(tmp_path: Path) -> None:
    store = Store()
    run_id = store.start("a run", {}, {}).run_id
    reopened(store, run_id, tmp_path).metrics({"x": 1.0})
    store.is_away = True
    reopened(store, run_id, tmp_path).tag("kind", "shard")
    synced(store, tmp_path)
    assert store.runs == {run_id: ["start a run", "{'x': 1.0} at 0", "kind=shard"]}


def test_what_is_added_to_a_run_that_the_store_never_had_comes_with_it(tmp_path: Path) -> None:
    store = Store()
    Kept(Nowhere(), tmp_path, Opening("a run", {}, {}, *store.place)).close("FINISHED")
    reopened(store, None, tmp_path).tag("kind", "shard")
    synced(store, tmp_path)
    assert store.runs == {"run 0": ["start a run", "FINISHED", "kind=shard"]}
    assert journals(tmp_path) == []


def test_a_run_that_was_killed_while_its_store_was_away_is_recorded_as_killed(
    tmp_path: Path,
) -> None:
    store = Store()
    run = Kept(store.start("a run", {}, {}), tmp_path, Opening("a run", {}, {}, *store.place))
    store.is_away = True
    run.picture("samples", 3, np.zeros((4, 5, 3), np.uint8))
    with journals(tmp_path)[0].open("a") as file:
        file.write('{"call": "metr')  # half a line
    synced(store, tmp_path)
    assert store.runs == {
        "run 0": ["start a run", "resumed", "samples 3 (4, 5, 3)", "KILLED"],
    }


def test_a_journal_behind_one_that_is_recorded_gets_a_number_of_its_own(tmp_path: Path) -> None:
    store = Store()
    run_id = store.start("a run", {}, {}).run_id
    for name in ("record-1.synced", "record-3.jsonl"):
        (tmp_path / name).touch()
    store.is_away = True
    reopened(store, run_id, tmp_path).tag("a", "b")
    assert (tmp_path / "record-4.jsonl").is_file()


def test_a_store_that_hangs_keeps_one_run_waiting_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SLOW", -1.0)
    monkeypatch.setattr(journal, "_alone_until", {})
    store = Store()
    runs = [store.start("a run", {}, {}).run_id for _ in range(2)]
    store.is_away = True
    reopened(store, runs[0], tmp_path / "0").tag("a", "b")
    monkeypatch.setattr(Told, "tell", lambda *_: pytest.fail("asked again"))
    reopened(store, runs[1], tmp_path / "1").tag("a", "b")
    assert len(journals(tmp_path)) == 2


def test_a_run_that_cannot_be_recorded_does_not_keep_the_others_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    store = Store()
    monkeypatch.setattr("genattr.commands.sync._opened", lambda *_: store)
    store.is_away = True
    for name in ("busy", "damaged", "whole"):
        store.runs[name] = []
        reopened(store, name, tmp_path / name).tag("name", name)
    (tmp_path / "damaged" / "record-1.jsonl").write_text("?\n")
    store.is_away = False
    with (
        claims.held(tmp_path / "busy", "wait"),
        pytest.raises(UserError, match=r"^2 of 3 runs are not recorded: "),
    ):
        commands.start("sync", [str(tmp_path)])
    assert store.runs == {"busy": [], "damaged": [], "whole": ["name=whole"]}
    told = capsys.readouterr().out
    assert "busy: not recorded: " in told
    assert "is in use by process" in told
    assert "not a record of genattr" in told


def test_what_needs_a_store_that_is_away_is_left_out_of_the_last_lines() -> None:
    store = MlflowTracking("http://127.0.0.1:9", "genattr")
    assert store.how_to_look_at_run("any") == ""
    assert store.how_to_look({"kind": "member"}, "member", []) == ""
