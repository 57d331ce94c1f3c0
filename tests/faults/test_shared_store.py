"""Several machines on one store, over a network file system that has a bad day."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import genattr
from genattr.store.__main__ import main as store
from genattr.store.heatmaps import HeatmapStore
from genattr.store.scores import ScoreStore
from tests.conftest import REPO
from tests.faults.conftest import Tally
from tests.faults.many_heatmaps import key_of, score_of
from tests.store.test_heatmaps import heatmap, same

HOSTS, HEATMAPS = 4, 150


def on_hosts(folder: Path, commands: list[list[str]], tally: Tally) -> list[str]:
    """Run each command on a machine of its own, all at once; return what they told of damage."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.faults.network", str(folder), str(seed), *command],
            cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for seed, command in enumerate(commands)
    ]  # fmt: skip
    done, told = Counter[str](), []
    for process in processes:
        output, errors = process.communicate(timeout=900)
        assert process.returncode == 0, errors[-3000:]
        done.update(json.loads(output.splitlines()[-1]))
        told.append(errors)
    for what, count in done.items():
        tally(f"shared store: {what}", count)
    assert sum(count for what, count in done.items() if what.startswith("ESTALE")) > 0
    return told


def test_all_machines_end_with_every_heatmap_and_its_scores(tmp_path: Path, tally: Tally) -> None:
    root = tmp_path / "store"
    module = ["tests.faults.many_heatmaps", str(root)]
    on_hosts(root, [[*module, str(host), str(HEATMAPS)] for host in range(HOSTS)], tally)
    lost = 0
    for index in range(HEATMAPS):
        found = HeatmapStore(root).get(key_of(index))
        assert found is not None
        assert same(found, heatmap(index))
        kept = ScoreStore(root).get(key_of(index))
        for host in map(str, range(HOSTS)):
            ((key, values),) = score_of(host, index).items()
            assert kept.get(key, values) == values
            lost += key not in kept
    tally("shared store: scores that two machines added at once and one lost", lost)
    tally("shared store: scores that are kept", HOSTS * HEATMAPS - lost)
    assert lost <= 0.1 * HOSTS * HEATMAPS
    store(["--store", str(root), "verify"])


def test_runs_of_several_machines_find_the_same(tmp_path: Path, tally: Tally) -> None:
    small = ["classifier=timm", "classifier.name=test_resnet", "classifier.pretrained=false"]
    small += ["method=center", "metric=[deletion]", "threads=1", "device=cpu", "tracking=none"]
    small += [f"store={tmp_path}/store"]
    runs = [tmp_path / f"run{host}" for host in range(2)]
    commands = [["genattr", *small, f"hydra.run.dir={run}"] for run in runs]
    on_hosts(tmp_path / "store", commands, tally)
    first, second = map(genattr.load, runs)
    assert len(first) == len(second) > 1
    assert all(same(one, other) for one, other in zip(first, second, strict=True))
    assert len(list((tmp_path / "store").rglob("*.npz"))) == len(first)


def test_prune_on_one_machine_leaves_what_another_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    """The clock of this machine is a day fast; the file system's decides what was abandoned."""
    import time

    HeatmapStore(tmp_path).put(key_of(0), heatmap())
    (file,) = tmp_path.rglob("*.npz")
    begun = file.with_name(f"{key_of(0)}.{'a' * 32}.tmp")
    begun.write_bytes(b"half")
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 86_400)
    store(["--store", str(tmp_path), "prune", "--corrupt", "--older-than", "0.5", "--yes"])
    assert begun.exists()
    assert file.exists()
    tally("shared store: clocks that differ")
