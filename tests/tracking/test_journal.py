"""Where the tracking store goes away, the run goes on, and is recorded later."""

from __future__ import annotations

from pathlib import Path

import pytest

from genattr import commands
from genattr.errors import UserError
from genattr.run import experiment
from genattr.tracking.journal import FILES
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
    with away_after(calls // 2), pytest.raises(UserError, match="the same command goes on"):
        commands.start("sync", [str(tmp_path)])
    commands.start("sync", [str(tmp_path)])
    assert recorded(tmp_path / "mlflow.db") == expected
