"""Disks that are full or not for writing, under all that runs, sweeps and trainings keep."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import genattr
from genattr.results.finished import finished
from tests.conftest import REPO, photo_file
from tests.faults.conftest import Tally
from tests.sweep.test_lifecycle import runs
from tests.test_survival import CHEAP
from tests.training.conftest import RARE, SMALL

PHOTOS = "abcd"
HERE = {"heatmaps": "store", "single": "hydra.run.dir", "sweep": "hydra.sweep.dir", "db": "uri"}
Mount = Callable[..., Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mount small file systems for the time of a test."""
    mounted: list[Path] = []

    def small(name: str, size: str) -> Path:
        place = tmp_path / name
        place.mkdir()
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place])
        if made.returncode:
            pytest.skip("mounting a tmpfs needs root")
        mounted.append(place)
        return place

    yield small
    for place in mounted:
        subprocess.run(["umount", "--lazy", place], check=True)  # MLflow may keep a database open


def enlarge(place: Path, options: str = "size=64m") -> None:
    """Make room on a mounted file system, or change it otherwise."""
    subprocess.run(["mount", "-o", f"remount,{options}", place], check=True)


def command(folder: Path, *words: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Explain the photos of a folder by random heatmaps, with all results in that folder."""
    for name in PHOTOS:
        if not (folder / "photos" / f"{name}.png").exists():
            photo_file(folder / "photos" / f"{name}.png")
    places = [f"store={folder}/heatmaps"]
    if "tracking=none" not in words:
        places.append(f"tracking.uri=sqlite:///{folder}/db/mlflow.db")
    places += [f"hydra.run.dir={folder}/single", f"hydra.sweep.dir={folder}/sweep"]
    chosen = [*CHEAP, "method=random", "target=predicted", f"dataset.root={folder}/photos"]
    return subprocess.run(
        [sys.executable, "run.py", *chosen, *places, *words],
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        **options,
    )


def told(done: subprocess.CompletedProcess[str], *parts: str) -> str:
    """Return the one line of a command that failed, which has some parts."""
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("genattr: ")]
    for part in parts:
        assert part in line
    return line


def values(folder: Path) -> dict[str, np.ndarray]:
    return {heatmap.image_id: heatmap.values.numpy() for heatmap in genattr.load(folder)}


def stored(folder: Path) -> dict[Path, int]:
    """Return the heatmaps of a store with the times at which they were written."""
    files = folder.rglob("*.npz")
    return {path: path.stat().st_mtime_ns for path in files}


def leftovers(folder: Path) -> list[Path]:
    """Return temporary files."""
    names = (".tmp", ".unfinished")
    return [path for path in folder.rglob("*") if any(name in path.name for name in names)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The heatmaps of a run that nothing disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    assert command(folder).returncode == 0
    return values(folder / "single")


@pytest.mark.parametrize(
    ("where", "size", "kept"),
    [("heatmaps", "150k", "1 of 4"), ("single", "150k", "all 4")],
)
def test_a_full_disk_is_told_and_the_same_command_goes_on(
    tmp_path: Path, mount: Mount, whole: dict, tally: Tally, where: str, size: str, kept: str
) -> None:
    place = mount(where, size)
    line = told(command(tmp_path), "there is no room left", f"{kept} heatmaps are", "to go on: ")
    assert str(place) in line.partition("to go on")[0]
    assert leftovers(tmp_path) == []
    before = stored(tmp_path / "heatmaps")
    assert len(before) == (1 if where == "heatmaps" else 4)
    enlarge(place)
    assert command(tmp_path).returncode == 0
    found = values(tmp_path / "single")
    assert found.keys() == whole.keys()
    assert all(np.array_equal(found[name], whole[name]) for name in whole)
    after = stored(tmp_path / "heatmaps")
    assert len(after) == 4
    assert before.items() <= after.items()
    assert sorted(run.info.status for run in runs(tmp_path / "db")) == ["FAILED", "FINISHED"]
    tally(f"disk full under {where}, and then the same command again")


def test_a_database_on_a_full_disk_is_done_without(
    tmp_path: Path, mount: Mount, whole: dict, tally: Tally
) -> None:
    place = mount("db", "1000k")
    done = command(tmp_path)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "Traceback" not in output
    assert "full" in output
    assert f"sync {tmp_path}/single" in output
    found = values(tmp_path / "single")
    assert all(np.array_equal(found[name], whole[name]) for name in whole)
    enlarge(place)
    sync = [sys.executable, "run.py", "sync", str(tmp_path / "single")]
    subprocess.run(sync, cwd=REPO, check=True, timeout=600)
    (run,) = runs(tmp_path / "db")
    assert run.info.status == "FINISHED"
    assert run.data.metrics["photos"] == len(PHOTOS)
    tally("disk full under the database, and then genattr sync")


def test_files_may_not_grow_beyond_a_limit(tmp_path: Path, tally: Tally) -> None:
    import resource

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (70_000, 70_000))

    done = command(tmp_path, "tracking=none", preexec_fn=limit)
    told(done, "cannot be written", "ulimit -f", "0 of 4 heatmaps", "to go on: ")
    assert leftovers(tmp_path) == []
    tally("a file that would be larger than is allowed")


@pytest.mark.parametrize(("where", "size"), [("heatmaps", "250k"), ("sweep", "1200k")])
def test_a_full_disk_under_a_sweep(
    tmp_path: Path, mount: Mount, tally: Tally, where: str, size: str
) -> None:
    words = ["-m", "seed=0,1", "selection.limit=2"]
    place = mount(where, size)
    done = command(tmp_path, *words)
    assert done.returncode != 0
    output = done.stdout + done.stderr
    assert "Traceback" not in output
    assert "Logging error" not in output
    assert "there is no room left" in output
    assert "sweep_id=sweep" in output
    enlarge(place)
    before = stored(tmp_path / "heatmaps")
    assert command(tmp_path, *words).returncode == 0
    assert before.items() <= stored(tmp_path / "heatmaps").items()
    assert len(finished(tmp_path / "sweep")) == 2
    assert all(run.info.status != "RUNNING" for run in runs(tmp_path / "db"))
    tally(f"disk full under a sweep's {where}, and then the same command again")


@pytest.mark.parametrize("where", ["single", "sweep", "db"])
def test_a_folder_that_is_not_for_writing_is_told_before_any_work(
    tmp_path: Path, mount: Mount, tally: Tally, where: str
) -> None:
    enlarge(mount(where, "64m"), "ro")
    words = ["-m", "seed=0,1"] if where == "sweep" else []
    line = told(command(tmp_path, *words), HERE[where], str(tmp_path / where), "read-only")
    assert "use another folder" in line
    assert not (tmp_path / "heatmaps").exists()
    tally("output folder that is not for writing")


def test_a_store_that_is_not_for_writing_serves(
    tmp_path: Path, mount: Mount, whole: dict, tally: Tally
) -> None:
    place = mount("heatmaps", "64m")
    assert command(tmp_path, "selection.limit=2").returncode == 0
    before = stored(place)
    enlarge(place, "ro")
    done = command(tmp_path)
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).count("is not for writing") == 1
    assert stored(place) == before
    found = values(tmp_path / "single")
    assert all(np.array_equal(found[name], whole[name]) for name in whole)
    tally("store that is not for writing")


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("hydra.run.dir", "x" * 300, "the name is too long"),
        ("store", "x" * 300, "the name is too long"),
        ("hydra.run.dir", "photos/a.png/in", "Not a directory"),
        ("store", "photos/a.png/in", "Not a directory"),
        ("store", "/proc/heatmaps", "use another folder"),
    ],
)
def test_folders_that_cannot_be(
    tmp_path: Path, tally: Tally, key: str, value: str, why: str
) -> None:
    told(command(tmp_path, f"{key}={tmp_path / value}", "tracking=none"), f"{key}=", why)
    tally("output folder that cannot be made")


def test_a_full_disk_under_a_training(tmp_path: Path, mount: Mount, tally: Tally) -> None:
    for name in "abcdef":
        photo_file(tmp_path / "photos" / f"{name}.png", (120, 120))
    place = mount("training", "3m")
    words = [*SMALL, *RARE, "steps=2", "save_every=1", "sample_every=2"]
    words += [f"root={tmp_path}/photos", f"folder={place}"]

    def train() -> subprocess.CompletedProcess[str]:
        start = [sys.executable, "-m", "genattr.training", *words]
        return subprocess.run(start, cwd=REPO, capture_output=True, text=True, timeout=900)

    told(train(), str(place), "there is no room left", "goes on from the last checkpoint")
    assert leftovers(place) == []
    enlarge(place, "size=300m")
    done = train()
    assert done.returncode == 0, done.stderr
    assert (place / "lightfill.safetensors").is_file()
    tally("disk full under a training, and then the same command again")
