"""kill -9 in a few phases of a run; ``benchmarks/kills.py`` does it fifty times."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import kills


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A folder with an empty database, and the heatmaps of a run that nobody kills."""
    folder = tmp_path_factory.mktemp("kills")
    return folder, kills.prepare(folder / "whole")


@pytest.mark.parametrize(("phase", "nth"), [("score", 30), ("write", 4), ("log", 2), ("close", 1)])
def test_a_killed_run_loses_and_repeats_nothing(
    world: tuple[Path, dict], phase: str, nth: int
) -> None:
    folder, expected = world
    result = kills.kill(folder / f"{phase}{nth}", phase, nth, expected)
    assert result == kills.Result(kills=1, counted=1)
    assert sorted(kills.statuses(folder / f"{phase}{nth}")) == ["FINISHED", "KILLED"]
