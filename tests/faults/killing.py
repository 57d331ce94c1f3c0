"""Commands in forked processes, which are killed, and what must hold after a kill."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import scipy.stats
import torch
from hydra.core.global_hydra import GlobalHydra
from PIL import Image

import genattr
from benchmarks.kills import Forked, Place, arm, fork, statuses
from genattr.__main__ import main
from genattr.results.finished import finished
from genattr.run import outputs
from genattr.store import archive
from genattr.tracking.mlflow import MlflowTracking
from tests.run.test_parts import content
from tests.sweep.test_lifecycle import places

WARM = (scipy.stats, outputs)  # imported once, for all processes
KILLED = -9
SP = ("method=sp", "method.patch_size=17", "method.stride=16")
UNPLACED = re.compile(r"\.claim-.*\.tmp")  # of a process that was killed as it claimed a folder
UNLIKE = ("config.yaml", "environment.json", "genattr.log", "member.json", "multirun.yaml")
CHEAP = [
    "classifier=callable",
    "classifier.path=tests.toys:load_network",
    "classifier.input_size=48",
    "classifier.mean=[0]",
    "classifier.std=[1]",
    "target=predicted",
    "dataset=folder",
    "metric=[deletion,saliency]",
    "metric.deletion.tie_seeds=1",
    "device=cpu",
    "threads=1",
]
Watched = Mapping[str, tuple[Sequence[Place], Callable[..., None] | None]]


class Lab:
    """A folder with photos and an empty database, in which each test has places of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._number = 0
        photos = folder / "photos"
        photos.mkdir()
        for number in range(3):
            noise = np.random.default_rng(number).integers(0, 255, (72, 80, 3), dtype=np.uint8)
            Image.fromarray(noise).save(photos / f"{number}.png")
        uri = f"sqlite:///{folder}/empty.db"
        made = fork(MlflowTracking(uri, "genattr").prepare, folder / "out.txt")
        assert made.wait()[0] == 0

    def place(self) -> Path:
        """Return a new folder with an empty database."""
        self._number += 1
        place = self.folder / f"place{self._number}"
        place.mkdir()
        shutil.copy(self.folder / "empty.db", place / "mlflow.db")
        return place

    def start(self, place: Path, *words: str, armed: Callable[[], object] = lambda: None) -> Forked:
        """Start a command with its results in a place, after what arms its process."""
        typed = [*CHEAP, f"dataset.root={self.folder}/photos", *places(place), *words]
        return command(main, typed, place, armed)

    def run(self, place: Path, *words: str) -> str:
        """Run a command to its good end, and return what it printed."""
        process = self.start(place, *words)
        assert process.wait()[0] == 0, printed(place)
        assert ended(process)
        return printed(place)


def command(
    program: Callable[[], object], words: Sequence[str], place: Path, armed: Callable[[], object]
) -> Forked:
    """Fork off a program with these words behind its name; what it prints goes to out.txt."""

    def work() -> str:
        sys.argv = ["run.py", *words]
        GlobalHydra.instance().clear()
        calls = armed()
        program()
        return json.dumps(calls)

    (place / "out.txt").unlink(missing_ok=True)
    return fork(work, place / "out.txt")


def printed(place: Path) -> str:
    return (place / "out.txt").read_text(errors="replace")


def session(process: Forked) -> list[psutil.Process]:
    """Return what a process has started and still runs, itself included."""
    found = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == process.pid:
                found.append(psutil.Process(pid))
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return [one for one in found if one.status() != psutil.STATUS_ZOMBIE]


def ended(process: Forked, seconds: float = 60) -> bool:
    """Whether all that a process has started ends by itself."""
    until = time.monotonic() + seconds
    while session(process):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def counting(watched: Watched) -> Callable[[], dict[str, list[int]]]:
    """Return what counts the calls of all phases in a process."""
    return lambda: {name: arm(found, 0) for name, (found, _) in watched.items()}


def spread(calls: int, kills: int) -> list[int]:
    """Spread kills over calls: the first of several, the last, and those between."""
    return sorted({1 + round(part * (calls - 1)) for part in np.linspace(0, 1, kills)})


def half(path: Any) -> None:
    """Leave the first half of a file."""
    if isinstance(path, str | Path) and Path(path).is_file():
        os.truncate(path, Path(path).stat().st_size // 2)


def half_text(write: Callable[..., Any], path: Path, text: str, *args: Any, **more: Any) -> None:
    write(path, text[: len(text) // 2], *args, **more)


def half_first(write: Callable[..., Any], path: Any, *args: Any, **more: Any) -> None:
    """Write half of a file that is the first argument."""
    write(path, *args, **more)
    half(path)


def half_second(write: Callable[..., Any], what: Any, path: Any, *args: Any, **more: Any) -> None:
    """Write half of a file that is the second argument."""
    write(what, path, *args, **more)
    half(path)


def after(function: Callable[..., Any], *args: Any, **more: Any) -> None:
    """Do it, and then end."""
    function(*args, **more)


def kept(place: Path) -> dict[str, tuple[int, int]]:
    """Return the stored heatmaps, with what changes if one is written anew."""
    files = {path.name: path.stat() for path in place.glob("heatmaps/*/*.npz")}
    return {name: (facts.st_ino, facts.st_mtime_ns) for name, facts in files.items()}


def values(place: Path) -> dict[str, torch.Tensor]:
    """Return the stored heatmaps; a damaged file raises."""
    paths = place.glob("heatmaps/*/*.npz")
    return {path.name: next(archive.read(path)).values for path in paths}


def check_kept(place: Path, whole: Path) -> None:
    """All heatmaps in the store are those of the run that nobody killed."""
    expected = values(whole)
    for name, found in values(place).items():
        assert torch.equal(found, expected[name]), name


def check_whole(folder: Path, whole: Path) -> None:
    """What can be read of a run is what one that nobody killed has left."""
    for path in files(whole):
        found = folder / path.relative_to(whole)
        if not found.is_file():
            continue
        try:
            read = told(found)
        except Exception:  # a file that says itself that it is not whole
            continue
        if path.suffix in (".npz", ".parquet", ".json"):
            assert read == told(path), found
    for one in finished(folder):
        genattr.load(one.folder)
        assert len(one.table) > 0


def check_same(folder: Path, whole: Path) -> None:
    """A run has left what one that nobody killed has left, bit by bit, and no more."""
    assert [one.relative_to(folder) for one in files(folder)] == [
        one.relative_to(whole) for one in files(whole)
    ]
    for path in files(whole):
        found = folder / path.relative_to(whole)
        assert told(found) == told(path), found


def files(folder: Path) -> list[Path]:
    """Return a run's or a sweep's files, but for those that tell its place or time."""
    found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [
        path
        for path in found
        if path.name not in UNLIKE
        and ".hydra" not in path.parts
        and not UNPLACED.fullmatch(path.name)
    ]


def told(path: Path) -> Any:
    """Return what a file of a run holds, without what tells its time or what it had to compute."""
    found = content(path)
    if path.suffix == ".json":
        json.loads(path.read_text())
    if path.name == "summary.json":
        del found["values"]["classifier_calls"]
    return str(found)


def check_rerun(lab: Lab, place: Path, whole: Path, *words: str) -> None:
    """The same command again computes no kept heatmap anew, and ends as if nobody had killed."""
    before = kept(place)
    lab.run(place, *words)
    again = kept(place)
    assert {name: again[name] for name in before} == before
    assert again.keys() == kept(whole).keys()
    check_kept(place, whole)
    for name in ("single", "sweep"):
        if (whole / name).is_dir():
            check_same(place / name, whole / name)
    assert "RUNNING" not in statuses(place)
    assert "FINISHED" in statuses(place)


def at_random(start: Callable[[], Forked], seconds: float, draws: np.random.Generator) -> Forked:
    """Kill a process at a random moment of so many seconds, and return it.

    One that was done by then does not count, and gives the time in which the next is killed.
    """
    while True:
        begun, process = time.monotonic(), start()
        time.sleep(draws.uniform(0, seconds))
        process.kill()
        if process.wait()[0] == KILLED:
            return process
        seconds = 0.7 * min(seconds, time.monotonic() - begun)
