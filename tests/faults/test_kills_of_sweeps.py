"""SIGKILL of sweeps, of runs in several processes, and of one of these: nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.kills import arm, statuses
from genattr.results import examples
from genattr.run import outputs
from genattr.sweep import lifecycle
from genattr.sweep.member import Note
from genattr.tracking.mlflow import MlflowRun
from tests.faults import killing
from tests.faults.conftest import Tally
from tests.faults.killing import KILLED, Lab, Watched
from tests.sweep.test_launchers import needs
from tests.toys import FATAL

EACH = 2  # kills of a phase
BY_CLOCK = 8
PHOTOS = ("0.png", "1.png", "2.png")
PHASES: Watched = {
    "its members are checked": ([(lifecycle, "_check_member")], None),
    "its record is opened": ([(lifecycle, "_parent")], None),
    "its record has just been opened": ([(lifecycle, "_parent")], killing.after),
    "a member's files are written": ([(outputs, "write")], None),
    "a member's note is about to be written": ([(Note, "save")], None),
    "a member's note has just been written": ([(Note, "save")], killing.after),
    "its results are told": ([(lifecycle, "_conclude")], None),
    "a picture is drawn": ([(examples, "draw")], None),
    "its members are compared": ([(lifecycle, "_compare")], None),
    "a record has just been closed": ([(MlflowRun, "close")], killing.after),
}
SWEPT = ("-m", *killing.SP, "filler=gray,blur")
DEADLY = ("method=center", "method._target_=tests.toys.Fatal")
SEEDS = ("-m", *DEADLY, "seed=0,1")
ENDED = "a process that ran members of the sweep was ended from outside"
JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("sweeps"))


@pytest.fixture(scope="module")
def whole(lab: Lab) -> Callable[..., Path]:
    """Return the place of a command that nobody kills; it is made at its first use."""
    made: dict[tuple[str, ...], Path] = {}

    def of(*words: str) -> Path:
        if words not in made:
            made[words] = lab.place()
            lab.run(made[words], *words)
        return made[words]

    return of


def fatal(photo: str, who: str) -> Callable[[], None]:
    """Return what has a photo kill the process that explains it, or the one that started that."""

    def armed() -> None:
        os.environ[FATAL] = f"{photo} {signal.SIGKILL:d} {who}"

    return armed


@pytest.mark.parametrize("phase", PHASES)
def test_a_sweep_is_killed(lab: Lab, whole: Callable[..., Path], phase: str, tally: Tally) -> None:
    watched, kill = PHASES[phase]
    counted = lab.start(lab.place(), *SWEPT, armed=lambda: arm(watched, 0))
    code, told = counted.wait()
    assert code == 0
    for nth in killing.spread(json.loads(told)[0], EACH):
        place = lab.place()
        process = lab.start(place, *SWEPT, armed=lambda nth=nth: arm(watched, nth, kill))
        assert process.wait()[0] == KILLED, killing.printed(place)
        tally(f"SIGKILL of a sweep while {phase}")
        check(lab, place, whole(*SWEPT), *SWEPT)


def check(lab: Lab, place: Path, whole: Path, *words: str) -> None:
    killing.check_kept(place, whole)
    for name in ("single", "sweep"):
        if (place / name).is_dir():
            killing.check_whole(place / name, whole / name)
    killing.check_rerun(lab, place, whole, *words)


def test_a_sweep_is_killed_at_random_moments(
    lab: Lab, whole: Callable[..., Path], tally: Tally
) -> None:
    begun = time.monotonic()
    lab.run(lab.place(), *SWEPT)
    seconds, draws = time.monotonic() - begun, np.random.default_rng(21)
    for _ in range(BY_CLOCK):
        place = lab.place()
        killing.at_random(lambda place=place: lab.start(place, *SWEPT), seconds, draws)
        tally("SIGKILL of a sweep at a random moment")
        check(lab, place, whole(*SWEPT), *SWEPT)


@pytest.mark.parametrize("photo", PHOTOS)
def test_the_process_of_a_run_in_two_processes_is_killed(
    lab: Lab, whole: Callable[..., Path], photo: str, tally: Tally
) -> None:
    place = lab.place()
    process = lab.start(place, *DEADLY, "devices=2", armed=fatal(photo, "parent"))
    assert process.wait()[0] == KILLED, killing.printed(place)
    assert killing.ended(process)
    tally("SIGKILL of a run in two processes")
    check(lab, place, whole(*DEADLY), *DEADLY)


@pytest.mark.parametrize("photo", PHOTOS)
def test_one_of_two_processes_of_a_run_is_killed(
    lab: Lab, whole: Callable[..., Path], photo: str, tally: Tally
) -> None:
    place = lab.place()
    process = lab.start(place, *DEADLY, "devices=2", armed=fatal(photo, "self"))
    assert process.wait()[0] == 1
    assert killing.ended(process)
    tally("SIGKILL of one of two processes of a run, as for want of memory")
    *_, last = killing.printed(place).splitlines()
    assert "its process was ended by SIGKILL, probably for want of memory: take a smaller" in last
    assert "Traceback" not in killing.printed(place)
    assert statuses(place) == ["FAILED"]
    check(lab, place, whole(*DEADLY), *DEADLY)


def test_one_of_two_processes_of_a_member_is_killed(
    lab: Lab, whole: Callable[..., Path], tally: Tally
) -> None:
    place = lab.place()
    process = lab.start(place, *SEEDS, "devices=2", armed=fatal("1.png", "self"))
    assert process.wait()[0] == 1
    assert killing.ended(process)
    tally("SIGKILL of one of two processes of each member, as for want of memory", 2)
    assert killing.printed(place).count("Failed:        seed=") == 2
    assert statuses(place) == ["FAILED"] * 3
    check(lab, place, whole(*SEEDS), *SEEDS)


@pytest.mark.parametrize("photo", PHOTOS)
def test_a_sweep_in_two_processes_is_killed(
    lab: Lab, whole: Callable[..., Path], photo: str, tally: Tally
) -> None:
    needs("joblib")
    place = lab.place()
    process = lab.start(place, *SEEDS, *JOBLIB, armed=fatal(photo, "parent"))
    assert process.wait()[0] == KILLED, killing.printed(place)
    assert killing.ended(process)
    tally("SIGKILL of a sweep in two processes")
    check(lab, place, whole(*SEEDS), *SEEDS)


@pytest.mark.parametrize("photo", PHOTOS)
def test_a_worker_of_a_sweep_is_killed(
    lab: Lab, whole: Callable[..., Path], photo: str, tally: Tally
) -> None:
    needs("joblib")
    place = lab.place()
    process = lab.start(place, *SEEDS, *JOBLIB, armed=fatal(photo, "self"))
    assert process.wait()[0] == 1
    assert killing.ended(process)
    tally("SIGKILL of a worker of a sweep, as for want of memory")
    # joblib's own process may warn of semaphores after it
    (last,) = [line for line in killing.printed(place).splitlines() if ENDED in line]
    assert last.startswith("genattr: ")
    assert "let fewer run at once, take a smaller batch_size" in last
    assert last.endswith("sweep_id=sweep")
    assert "Traceback" not in killing.printed(place)
    check(lab, place, whole(*SEEDS), *SEEDS)
