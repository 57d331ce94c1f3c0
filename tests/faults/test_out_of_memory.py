"""Memory that is not there: one line says what needs less, and the next command goes on."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch

from benchmarks.kills import Forked, statuses
from genattr.method.center import Center
from genattr.probe import Probe
from genattr.training.__main__ import main
from genattr.training.trainer import Trainer
from tests.faults import killing
from tests.faults.conftest import Tally
from tests.faults.killing import Lab
from tests.sweep.test_launchers import needs
from tests.toys import HUNGRY
from tests.training.conftest import SMALL

WORDS = ("method=center", "method._target_=tests.toys.Hungry")
SWEEP = ("-m", *WORDS, "seed=0,1")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("memory"))


def hungry() -> None:
    os.environ[HUNGRY] = "1.png"


def check(process: Forked, place: Path) -> str:
    """A command ends without any traceback, in one line about memory; return it."""
    assert process.wait()[0] == 1, killing.printed(place)
    told = killing.printed(place)
    assert "Traceback" not in told, told
    *_, last = told.splitlines()
    assert "memory" in last
    return last


@pytest.mark.parametrize("more", [(), ("devices=2",)])
def test_a_run_without_memory_is_told_and_goes_on(
    lab: Lab, more: tuple[str, ...], tally: Tally
) -> None:
    place = lab.place()
    last = check(lab.start(place, *WORDS, *more, armed=hungry), place)
    assert last.startswith("genattr: ")
    assert "take a smaller batch_size" in last
    assert last.endswith("finished heatmaps are kept, and the same command goes on")
    tally("run in which memory cannot be had")
    assert statuses(place) == ["FAILED"]
    before = killing.kept(place)
    lab.run(place, *WORDS)
    assert {name: killing.kept(place)[name] for name in before} == before
    assert sorted(statuses(place)) == ["FAILED", "FINISHED"]


@pytest.mark.parametrize("more", [(), ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")])
def test_members_without_memory_are_told_and_go_on(
    lab: Lab, more: tuple[str, ...], tally: Tally
) -> None:
    if more:
        needs("joblib")
    place = lab.place()
    process = lab.start(place, *SWEEP, *more, armed=hungry)
    assert process.wait()[0] == 1
    told = killing.printed(place)
    assert "Traceback" not in told, told
    assert told.count("Failed:        seed=") == told.count(": out of memory (") - 2 == 2
    tally("member of a sweep in which memory cannot be had", 2)
    assert set(statuses(place)) == {"FAILED"}
    lab.run(place, *SWEEP)
    assert "RUNNING" not in statuses(place)


def raising(error: Exception) -> Callable[..., None]:
    def call(*_: object, **more: object) -> None:
        raise error

    return call


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        OSError(12, "Cannot allocate memory"),
    ],
)
def test_every_way_to_say_it_is_known(lab: Lab, error: Exception, tally: Tally) -> None:
    place = lab.place()
    armed = lambda: setattr(Center, "values", raising(error))  # noqa: E731
    last = check(lab.start(place, "method=center", armed=armed), place)
    assert last.startswith("genattr: out of memory (")
    tally("error for want of memory, injected")


def narrow() -> None:
    """Limit what this process may still allocate, at its first photo."""
    values = Center.values

    def call(method: Center, probe: Probe) -> torch.Tensor:
        limit = psutil.Process().memory_info().vms + 2**26
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        torch.ones(2**26)
        return values(method, probe)

    Center.values = call


def test_a_process_that_may_not_grow_is_told(lab: Lab, tally: Tally) -> None:
    place = lab.place()
    last = check(lab.start(place, "method=center", armed=narrow), place)
    assert last.startswith("genattr: out of memory (")
    tally("run whose process may not grow (RLIMIT_AS)")


def test_a_training_without_memory_is_told(lab: Lab, tally: Tally) -> None:
    place = lab.place()
    words = [*SMALL, "steps=1", "tracking=none", f"root={lab.folder}/photos"]
    armed = lambda: setattr(Trainer, "step", raising(MemoryError()))  # noqa: E731
    process = killing.command(main, [*words, f"folder={place}/training"], place, armed)
    assert check(process, place).startswith("genattr: out of memory (MemoryError): ")
    tally("training in which memory cannot be had")
