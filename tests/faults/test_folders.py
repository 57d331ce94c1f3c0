"""Two commands at once in one folder: one is refused, or each gets a folder of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.kills import Forked, statuses
from genattr import claims
from genattr.results.finished import finished
from genattr.run import worker
from genattr.training.__main__ import main
from genattr.training.trainer import Trainer
from tests.faults import killing
from tests.faults.conftest import Tally
from tests.faults.killing import Lab
from tests.training.conftest import SMALL

RUN = killing.SP
SWEEP = ("-m", *RUN, "seed=0,1", "sweep_id=sweep")
YEAR = "${now:%Y}"  # all commands of a test start within it
TRAINING = ["steps=1", "gan_from=0.1", "tracking=none"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("folders"))


def paused(place: Path, owner: object, name: str) -> Callable[[], None]:
    """Return what has a process wait at a function until a file ``on`` is there."""

    def armed() -> None:
        original = getattr(owner, name)

        def call(*args: object, **more: object) -> object:
            (place / "waits").touch()
            _wait_for(place / "on")
            return original(*args, **more)

        setattr(owner, name, call)

    return armed


def _wait_for(file: Path) -> None:
    until = time.monotonic() + 200
    while not file.exists():
        assert time.monotonic() < until
        time.sleep(0.01)


def refused_beside(first: Forked, place: Path, start: Callable[[], Forked]) -> None:
    """Start a command while another works in its folder; the first then ends well."""
    _wait_for(place / "waits")
    before = {path: path.read_bytes() for path in killing.files(place) if path.suffix != ".db"}
    second = start()
    assert second.wait()[0] == 1
    *_, last = killing.printed(place).splitlines()
    assert f"is in use by process {first.pid} of " in last
    after = {path: path.read_bytes() for path in killing.files(place) if path.suffix != ".db"}
    assert {path: after[path] for path in before if path.name != "out.txt"} == {
        path: before[path] for path in before if path.name != "out.txt"
    }
    (place / "on").touch()
    assert first.wait()[0] == 0


@pytest.mark.parametrize("words", [RUN, SWEEP])
def test_a_second_command_in_a_folder_is_refused(
    lab: Lab, words: tuple[str, ...], tally: Tally
) -> None:
    whole, place = lab.place(), lab.place()
    lab.run(whole, *words)
    first = lab.start(place, *words, armed=paused(place, worker, "score"))
    refused_beside(first, place, lambda: lab.start(place, *words))
    tally("command that begins in a folder where another works")
    for name in ("single", "sweep"):
        if (whole / name).is_dir():
            killing.check_same(place / name, whole / name)
    assert set(statuses(place)) == {"FINISHED"}


def test_a_second_training_in_a_folder_is_refused(lab: Lab, tally: Tally) -> None:
    place = lab.place()
    words = [*SMALL, *TRAINING, f"root={lab.folder}/photos", f"folder={place}/training"]
    first = killing.command(main, words, place, paused(place, Trainer, "step"))
    refused_beside(first, place, lambda: killing.command(main, words, place, lambda: None))
    tally("training that begins in a folder where another works")


@pytest.mark.parametrize(
    ("words", "key", "name"),
    [(RUN, "hydra.run.dir", "outputs"), (SWEEP[:-1], "hydra.sweep.dir", "multirun")],
)
def test_of_commands_that_start_at_once_each_has_a_folder(
    lab: Lab, words: tuple[str, ...], key: str, name: str, tally: Tally
) -> None:
    place = lab.place()
    started = [lab.start(place, *words, f"{key}={place}/{name}/{YEAR}") for _ in range(3)]
    assert [process.wait()[0] for process in started] == [0, 0, 0], killing.printed(place)
    tally(f"commands that start at once, by {key}", 3)
    folders = sorted((place / name).iterdir())
    assert [folder.name.partition("_")[2] for folder in folders] == ["", "2", "3"]
    members = 2 if name == "multirun" else 1
    assert [len(finished(folder)) for folder in folders] == [members] * 3
    for folder in folders[1:]:
        killing.check_same(folder, folders[0])
    assert statuses(place) == ["FINISHED"] * (3 if members == 1 else 9)


def test_a_folder_of_another_machine_is_free_once_that_is_silent(lab: Lab, tally: Tally) -> None:
    place = lab.place()
    (place / "single").mkdir()
    (place / "single" / claims.NAME.format(1)).write_text("another-host 12 1700000000.0")
    process = lab.start(place, *RUN, armed=lambda: setattr(claims, "SILENCE", 2.0))
    assert process.wait()[0] == 0
    tally("run in a folder that a process of another machine had left")
    assert not list((place / "single").glob(".claim*"))
