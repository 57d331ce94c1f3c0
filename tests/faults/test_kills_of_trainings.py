"""SIGKILL of a training in every phase and at random moments: it ends as one that nobody killed."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from benchmarks.kills import Forked, arm, statuses
from genattr.filler._lightfill import weights
from genattr.tracking.mlflow import MlflowRun
from genattr.training import checkpoint, progress, reading, run
from genattr.training.__main__ import main
from genattr.training.trainer import Trainer
from tests.faults import killing
from tests.faults.conftest import Tally
from tests.faults.killing import KILLED, Lab, Watched
from tests.training.conftest import SMALL
from tests.training.test_training import same

EACH = 2  # kills of a phase
BY_CLOCK = 6
WARM = (run,)  # imported once, for all processes
FEW = ["steps=3", "log_every=1", "save_every=1", "sample_every=2", "gan_from=0.1"]
PHASES: Watched = {
    "its photos are there, and what they are is not": ([(reading, "_write_index")], None),
    "a step is made": ([(Trainer, "step")], None),
    "a row of its table is written": ([(progress.Losses, "add")], None),
    "half a checkpoint is there": ([(torch, "save")], killing.half_second),
    "half its weights are there": ([(weights, "write")], killing.half_second),
    "half its adversary's weights are there": ([(checkpoint, "save_file")], killing.half_second),
    "half a picture is there": ([(Image.Image, "save")], killing.half_second),
    "a file is about to take its place": ([(os, "replace")], None),
    "a file has just taken its place": ([(os, "replace")], killing.after),
    "it is recorded": ([(MlflowRun, name) for name in ("metrics", "picture", "files")], None),
    "its record is about to be closed": ([(MlflowRun, "close")], None),
    "its record has just been closed": ([(MlflowRun, "close")], killing.after),
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("trainings"))


def train(lab: Lab, place: Path, armed: Callable[[], object] = lambda: None) -> Forked:
    words = [f"root={lab.folder}/photos", f"folder={place}/training"]
    words.append(f"tracking.uri=sqlite:///{place}/mlflow.db")
    return killing.command(main, [*SMALL, *FEW, *words], place, armed)


@pytest.fixture(scope="module")
def whole(lab: Lab) -> tuple[Path, dict[str, int], float]:
    """A place whose training nobody kills, the calls in each phase, and how long it takes."""
    place, begun = lab.place(), time.monotonic()
    code, told = train(lab, place, killing.counting(PHASES)).wait()
    assert code == 0, killing.printed(place)
    calls = {name: count for name, (count,) in json.loads(told).items()}
    return place / "training", calls, time.monotonic() - begun


def check_whole(folder: Path) -> None:
    """Whatever is there can be read."""
    if (folder / checkpoint.FILE).is_file():
        assert torch.load(folder / checkpoint.FILE, weights_only=True)["step"] > 0
    for name in (checkpoint.WEIGHTS, checkpoint.DISCRIMINATOR):
        assert not (folder / name).is_file() or load_file(folder / name)
    progress.Losses(folder, 100)


def check(lab: Lab, place: Path, expected: Path) -> None:
    """The same command goes on, and ends as if nobody had killed."""
    folder = place / "training"
    check_whole(folder)
    done = 0
    if (folder / checkpoint.FILE).is_file():
        done = torch.load(folder / checkpoint.FILE, weights_only=True)["step"]
    code, told = train(lab, place, lambda: arm([(Trainer, "step")], 0)).wait()
    assert code == 0, killing.printed(place)
    assert json.loads(told) == [3 - done]
    for name in (checkpoint.WEIGHTS, checkpoint.DISCRIMINATOR):
        assert same(load_file(folder / name), load_file(expected / name))
    for name in (progress.FILE, reading.PIXELS, reading.INDEX):
        assert (folder / name).read_bytes() == (expected / name).read_bytes()
    assert not list(folder.glob(".claim-[0-9]"))
    assert set(statuses(place)) <= {"FINISHED", "KILLED"}
    assert statuses(place).count("FINISHED") == 1
    shutil.rmtree(place)


@pytest.mark.parametrize("phase", PHASES)
def test_a_training_is_killed(
    lab: Lab, whole: tuple[Path, dict[str, int], float], phase: str, tally: Tally
) -> None:
    expected, calls, _ = whole
    watched, kill = PHASES[phase]
    for nth in killing.spread(calls[phase], EACH):
        place = lab.place()
        process = train(lab, place, lambda nth=nth: arm(watched, nth, kill))
        assert process.wait()[0] == KILLED, killing.printed(place)
        tally(f"SIGKILL of a training while {phase}")
        check(lab, place, expected)


def test_a_training_is_killed_at_random_moments(
    lab: Lab, whole: tuple[Path, dict[str, int], float], tally: Tally
) -> None:
    expected, _, seconds = whole
    draws = np.random.default_rng(21)
    for _ in range(BY_CLOCK):
        place = lab.place()
        killing.at_random(lambda place=place: train(lab, place), seconds, draws)
        tally("SIGKILL of a training at a random moment")
        check(lab, place, expected)
