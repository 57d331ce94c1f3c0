"""A run of several processes is the run of one; what ends one of them, and what ends all."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from mlflow import MlflowClient
from PIL import Image

import genattr
from genattr import environment
from genattr.console import Progress
from genattr.errors import UserError
from genattr.results.examples import MOST, Examples
from genattr.run.findings import Findings
from genattr.run.parts import Part, Parts
from genattr.run.selection import Chosen
from genattr.store import archive
from genattr.store.heatmaps import HeatmapStore
from genattr.sweep import member
from tests.conftest import REPO, photo
from tests.contract.options import compose_config
from tests.run.test_inputs import study
from tests.sweep.test_lifecycle import command as sweep
from tests.sweep.test_lifecycle import exit_code, places, runs
from tests.toys import FATAL, Fatal

PHOTOS = "abcdef"
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
Command = Callable[..., int | str | None]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URI of one database for all tests, as making one takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('records')}/mlflow.db"


def states(records: str, experiment: str) -> list[str]:
    """Return the states of an experiment's runs, the oldest first; they are of one kind."""
    client = MlflowClient(records)
    found = client.get_experiment_by_name(experiment)
    made = client.search_runs([found.experiment_id], order_by=["attribute.start_time ASC"])
    assert {run.data.tags["kind"] for run in made} == {"run"}
    return [run.info.status for run in made]


@pytest.fixture
def command(tmp_path: Path, records: str, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run over six photos and a bad one; return the exit code, or the message."""
    (tmp_path / "photos").mkdir()
    for number, name in enumerate(PHOTOS):
        noise = np.random.default_rng(number).integers(0, 255, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "photos" / f"{name}.png")
    (tmp_path / "photos" / "bad.png").write_bytes(b"not a photo")

    def run(folder: str, *words: str) -> int | str | None:
        root = f"dataset.root={tmp_path}/photos"
        recorded = [*places(tmp_path / folder, records), f"tracking.experiment={folder}"]
        return exit_code(monkeypatch, *CHEAP, *recorded, root, *words)

    return run


def left_over() -> list[str]:
    """Return the command lines of processes that explain photos for this one."""
    lines = [" ".join(child.cmdline()) for child in psutil.Process().children()]
    return [line for line in lines if "spawn_main" in line]


def content(path: Path) -> Any:
    """Return what a file of a run holds, without times and names of the run."""
    if path.suffix == ".npz":
        arrays = dict(np.load(path))
        arrays.pop("seconds", None)
        return {name: (array.dtype.str, array.tobytes()) for name, array in arrays.items()}
    if path.suffix == ".parquet":
        return pd.read_parquet(path).drop(columns="seconds", errors="ignore").to_dict("records")
    if path.name == "summary.json":
        found = json.loads(path.read_text())
        del found["run_id"], found["values"]["seconds_per_heatmap"]
        return found
    return path.read_bytes()


def test_two_processes_make_the_run_of_one(
    tmp_path: Path, command: Command, records: str, capfd: pytest.CaptureFixture[str]
) -> None:
    selected = ["selection.limit=4", "selection.held_out=2", "target=top-2"]
    words = ["method=random", *selected, "sensitivity=seed", "sensitivity.values=[0,1]"]
    assert command("one", *words) == 0
    capfd.readouterr()
    assert command("two", *words, "devices=2") == 0
    told = capfd.readouterr()
    everything = told.out + told.err
    for line in ("Classifier: ", "Devices: ", "skipped: ", "Skipped: ", "Picture: ", "then open: "):
        assert everything.count(line) == 1, line
    assert "Devices:       cpu 1, cpu 2" in told.out
    one, two = tmp_path / "one" / "single", tmp_path / "two" / "single"
    assert sorted(path.name for path in two.iterdir()) == sorted(p.name for p in one.iterdir())
    unlike = ("config.yaml", "environment.json", "genattr.log")
    for path in filter(Path.is_file, one.iterdir()):
        assert path.name in unlike or str(content(two / path.name)) == str(content(path)), path
    stores = [HeatmapStore(tmp_path / name / "heatmaps") for name in ("one", "two")]
    keys = [sorted(path.stem for path in store.root.rglob("*.npz")) for store in stores]
    assert keys[0] == keys[1]
    assert len(keys[0]) == 2 * (5 + 3)
    for key in keys[0]:
        assert torch.equal(*(store.get(key).values for store in stores))
    assert states(records, "two") == ["FINISHED"]
    assert left_over() == []


def test_a_killed_process_ends_the_run_and_the_same_command_goes_on(
    tmp_path: Path, command: Command, records: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["method=center", "method._target_=tests.toys.Fatal"]
    monkeypatch.setenv(FATAL, f"f.png {signal.SIGKILL:d} self")
    assert command("killed", *words, "devices=2") == (
        "genattr: cpu 1: its process was ended by SIGKILL, probably for want of memory: take a "
        "smaller batch_size, or fewer devices: finished heatmaps are kept, and the same command "
        "goes on"
    )
    assert left_over() == []
    kept = {
        one.image_id for path in tmp_path.rglob("heatmaps/*/*.npz") for one in archive.read(path)
    }
    monkeypatch.delenv(FATAL)
    explained = []
    values = Fatal.values
    monkeypatch.setattr(
        Fatal,
        "values",
        lambda self, one: explained.append(one.sample.image_id) or values(self, one),
    )
    assert command("killed", *words) == 0
    assert {"a.png", "d.png"} <= kept  # cpu 1 had a, bad, d and f; cpu 2 may have begun or not
    assert explained == [f"{name}.png" for name in PHOTOS if f"{name}.png" not in kept]
    found = [heatmap.image_id for heatmap in genattr.load(tmp_path / "killed" / "single")]
    assert found == [f"{name}.png" for name in PHOTOS]
    assert states(records, "killed") == ["FAILED", "FINISHED"]


@pytest.mark.slow
def test_sigterm_ends_all_processes(
    tmp_path: Path, command: Command, records: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FATAL, f"d.png {signal.SIGTERM:d} parent")
    words = ["method=center", "method._target_=tests.toys.Fatal"]
    assert command("ended", *words, "devices=2") == 143
    assert left_over() == []
    assert states(records, "ended") == ["KILLED"]


@pytest.mark.slow
def test_processes_end_with_the_one_that_started_them(tmp_path: Path, command: Command) -> None:
    own = ["method=center", "method._target_=tests.toys.Fatal", f"dataset.root={tmp_path}/photos"]
    typed = [*CHEAP, *places(tmp_path), *own, "devices=2"]
    env = os.environ | {FATAL: f"d.png {signal.SIGKILL:d} parent"}
    run = subprocess.Popen([sys.executable, "run.py", *typed], cwd=REPO, env=env)
    started: list[psutil.Process] = []
    while run.poll() is None:
        started = psutil.Process(run.pid).children() or started
        time.sleep(0.02)
    assert run.returncode == -signal.SIGKILL
    assert len(started) == 3  # one cleans up for multiprocessing
    assert psutil.wait_procs(started, timeout=60)[1] == []


@pytest.mark.slow
def test_members_of_a_sweep_use_several_devices(tmp_path: Path) -> None:
    done = sweep(tmp_path, "-m", "method=center,random", "devices=2", "device=cpu")
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("Devices:       cpu 1, cpu 2") == 2
    kinds = sorted((one.data.tags["kind"], one.info.status) for one in runs(tmp_path))
    assert kinds == [("member", "FINISHED")] * 2 + [("sweep", "FINISHED")]


class Heard(Progress):
    """Adds up what it is told."""

    def __init__(self) -> None:
        self.images, self.heatmaps, self.missed = 0, 0, 0

    def scored(self, count: int) -> None:
        self.images += count

    def finished(self, scored: int = 0) -> None:
        self.heatmaps += 1

    def skipped(self, heatmaps: int) -> None:
        self.missed += heatmaps


def spoken(*messages: list[tuple[Any, ...]]) -> Parts:
    """Return parts that have already said all that they will ever say."""
    parts = []
    for number, said in enumerate(messages):
        line, its_end = Pipe()
        for message in said:
            its_end.send(message)
        parts.append(Part(f"cuda:{number}", None, line))
    return Parts(parts)


def found(place: int, failed: list[str], scored: int) -> tuple[str, Findings]:
    findings = Findings(failed=failed)
    findings.add((place, 0), f"key{place}", {"image_id": f"{place}"})
    findings.counts.scored = scored
    return ("found", findings)


def test_findings_are_joined_in_the_photos_order_and_a_line_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    line = ("said", "genattr.engine.choose", logging.INFO, "engine: dense")
    heard, joined = Heard(), Findings()
    parts = spoken(
        [line, ("scored", 4), ("finished", 4), ("skipped", 1), found(2, ["a.png: bad"], 4)],
        [("scored", 3), line, ("finished", 3), found(1, [], 3)],
        [],  # has no photo, and nothing to say
    )
    with caplog.at_level(logging.INFO, "genattr"):
        parts.explain(study(), Chosen([5, 6], []), joined, heard)
    assert joined.keys == ["key1", "key2"]
    assert (joined.failed, joined.counts.scored) == (["a.png: bad"], 7)
    assert (heard.images, heard.heatmaps, heard.missed) == (7, 2, 1)
    assert [message.partition(": ")[2] for message in caplog.messages] == ["engine: dense"]


def test_every_process_that_fails_is_named_with_its_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    memory = ("failed", "OutOfMemoryError: CUDA out of memory", "Traceback ...")
    joined = Findings()
    parts = spoken([memory], [found(1, [], 3)], [memory], [("failed", "NaN", "")])
    with pytest.raises(UserError) as error:
        parts.explain(study(), Chosen([5, 6, 7, 8], []), joined, Heard())
    assert str(error.value) == (
        "cuda:0, cuda:2: OutOfMemoryError: CUDA out of memory; cuda:3: NaN: finished heatmaps are "
        "kept, and the same command goes on"
    )
    assert joined.keys == ["key1"]
    assert "cuda:0: Traceback ..." in caplog.messages


@pytest.mark.parametrize("parts", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("held_out", [0, 1, 4])
def test_photos_are_dealt_out_with_their_places(parts: int, held_out: int) -> None:
    photos = Chosen([10, 11, 12, 13], list(range(20, 20 + held_out)))
    hands = photos.divided(parts)
    dealt = sorted(one for hand in hands for one in hand.placed)
    assert dealt == list(photos.placed)
    assert max(map(len, hands)) - min(map(len, hands)) <= 1


def test_the_first_examples_of_all_parts_are_kept() -> None:
    whole, parts = Examples(), [Examples(), Examples()]
    for number in range(2 * MOST + 3):
        example = ((number, 0), photo(4, image_id=str(number)), 1, "yes", 0.5)
        whole.add(*example)
        parts[number % 2].add(*example)
    joined = Examples()
    for part in parts:
        joined.join(part)
    assert [shown.image_id for shown in joined.photos] == [one.image_id for one in whole.photos]
    assert len(joined.photos) == MOST


def test_gpus_share_a_run_and_a_cpu_has_any_number_of_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    both = [torch.device("cuda:0"), torch.device("cuda:1")]
    assert environment.resolve_devices("all", gpu) == environment.resolve_devices(2, gpu) == both
    assert environment.resolve_devices(1, gpu) == [gpu]
    assert environment.resolve_devices("all", cpu) == [cpu]
    assert environment.resolve_devices(3, cpu) == [cpu] * 3
    spread_out = study(device=gpu, devices=both)
    assert (spread_out.share(5), study(devices=[cpu] * 2).share(5)) == (3, 5)
    with pytest.raises(UserError, match="devices=3: this machine has 2 GPUs"):
        environment.resolve_devices(3, gpu)
    with pytest.raises(UserError, match="devices=all: device=cuda:1 is one GPU; use device=cuda"):
        environment.resolve_devices("all", torch.device("cuda:1"))
    with pytest.raises(UserError, match="devices=2: there is one mps; leave devices out"):
        environment.resolve_devices(2, torch.device("mps"))


def test_the_number_of_devices_determines_no_result() -> None:
    one, several = (compose_config(f"devices={devices}") for devices in ("1", "all"))
    assert member.fingerprint(one) == member.fingerprint(several)
