"""A finished member of a sweep runs again when what it read is no longer the same."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hydra.core.global_hydra import GlobalHydra
from PIL import Image

from genattr.__main__ import main
from genattr.results.summary import load_summary
from genattr.run import experiment
from genattr.sweep import member
from tests.sweep.test_lifecycle import places, runs
from tests.sweep.test_shards import CHEAP

Sweep = Callable[..., str]


def paint(path: Path, seed: int) -> None:
    path.parent.mkdir(exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Sweep:
    """Return a function that runs a sweep over two photos, and returns what it prints."""
    for seed, name in enumerate(("a.png", "b.png")):
        paint(tmp_path / "photos" / name, seed)

    def run(*arguments: str) -> str:
        photos = ["dataset=folder", f"dataset.root={tmp_path}/photos", "selection.limit=2"]
        words = ["run.py", "-m", *CHEAP, "selection.held_out=0", *photos, *arguments]
        monkeypatch.setattr(sys, "argv", [*words, *places(tmp_path)])
        GlobalHydra.instance().clear()
        with suppress(SystemExit):
            main()
        return capsys.readouterr().out

    return run


def kinds(folder: Path) -> list[str]:
    return sorted(run.data.tags["kind"] for run in runs(folder))


def test_a_finished_member_runs_again_only_if_its_photos_changed(
    sweep: Sweep, tmp_path: Path
) -> None:
    sweep("seed=0,1")
    before = load_summary(tmp_path / "sweep" / "0")
    again = sweep("seed=0,1")
    assert again.count("finished before") == 2
    assert load_summary(tmp_path / "sweep" / "0").run_id == before.run_id
    paint(tmp_path / "photos" / "a.png", 7)
    changed = sweep("seed=0,1")
    for number in (0, 1):
        assert f"member {number}: its photos have changed: it runs again" in changed
    assert "finished before" not in changed
    after = load_summary(tmp_path / "sweep" / "0")
    assert after.scores != before.scores
    assert kinds(tmp_path) == ["attempt", "attempt", "member", "member", "sweep"]
    assert sweep("seed=0,1").count("finished before") == 2


def test_a_photo_that_changes_while_its_member_runs_is_noticed(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = experiment.work

    def disturbed(*arguments: object) -> object:
        rest = work(*arguments)
        paint(tmp_path / "photos" / "a.png", 7)
        return rest

    monkeypatch.setattr(experiment, "work", disturbed)
    sweep("seed=0,1")
    monkeypatch.undo()
    again = sweep("seed=0,1")
    assert "member 0: its photos have changed" in again
    assert "member 1: its photos" not in again


def test_a_note_of_an_earlier_version_does_not_count(sweep: Sweep, tmp_path: Path) -> None:
    sweep("seed=0,1")
    file = tmp_path / "sweep" / "1" / member.NOTE
    note = json.loads(file.read_text())
    del note["inputs"]
    file.write_text(json.dumps(note))
    printed = sweep("seed=0,1")
    assert "member 1: an earlier version did not note what it had read: it runs again" in printed
    assert printed.count("finished before") == 1


def test_a_member_that_cannot_run_again_is_not_shown_with_what_it_was(
    sweep: Sweep, tmp_path: Path
) -> None:
    sweep("selection.shard.index=0,1", "selection.shard.count=2")
    assert (tmp_path / "sweep" / "merged" / "0" / "summary.json").is_file()
    (tmp_path / "photos" / "b.png").write_bytes(b"no photo")
    printed = sweep("selection.shard.index=0,1", "selection.shard.count=2")
    assert "member 1: its photos have changed" in printed
    assert printed.count("finished before") == 1
    assert "Failed:        selection.shard.index=1: none of 1 photos could be read" in printed
    assert not (tmp_path / "sweep" / "1" / "summary.json").exists()
    assert not (tmp_path / "sweep" / "merged" / "0" / "summary.json").exists()


def test_shards_are_merged_again_after_one_of_them_ran_again(sweep: Sweep, tmp_path: Path) -> None:
    shards = ["selection.shard.index=0,1", "selection.shard.count=2"]
    sweep(*shards)
    merged = tmp_path / "sweep" / "merged" / "0"
    before = load_summary(merged)
    sweep(*shards)
    assert load_summary(merged).run_id == before.run_id
    assert kinds(tmp_path) == ["member", "shard", "shard", "sweep"]
    paint(tmp_path / "photos" / "b.png", 7)
    printed = sweep(*shards)
    assert printed.count("finished before") == 1
    after = load_summary(merged)
    assert after.scores != before.scores
    (shown,) = [run for run in runs(tmp_path) if run.data.tags["kind"] == "member"]
    assert shown.info.run_id == after.run_id
