"""Hydra's launchers run a sweep's members elsewhere, with the results of the basic one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

import genattr
from tests.servers import free_port, wait_for
from tests.sweep.test_lifecycle import command, runs

pytestmark = pytest.mark.slow
MEMBERS = ("method=random,center", "seed=0,1", "metric.deletion.tie_seeds=1")
LAUNCHERS = {
    "joblib": ["hydra.launcher.n_jobs=2"],
    "submitit_local": ["hydra.launcher.timeout_min=10"],
    "ray": ["+hydra.launcher.ray.init.num_cpus=2"],
}


def needs(launcher: str) -> None:
    """Skip where the launcher's package is not installed."""
    package = f"hydra_plugins.hydra_{launcher.partition('_')[0]}_launcher"
    if find_spec("hydra_plugins") is None or find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


def launch(folder: Path, launcher: str, *options: str) -> dict[int, torch.Tensor]:
    """Run the sweep under a launcher, and return each member's heatmaps."""
    done = command(folder, "-m", f"hydra/launcher={launcher}", *options, *MEMBERS)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    assert "similarity over seed" in done.stdout
    return {
        number: torch.stack([one.values for one in genattr.load(folder / "sweep" / str(number))])
        for number in range(4)
    }


def check_records(folder: Path) -> None:
    """All members stand finished under one parent."""
    found = runs(folder)
    (parent,) = [run for run in found if run.data.tags["kind"] == "sweep"]
    members = [run for run in found if run.data.tags["kind"] == "member"]
    assert [run.data.metrics["member"] for run in members] == [0, 1, 2, 3]
    assert {run.data.tags["mlflow.parentRunId"] for run in members} == {parent.info.run_id}
    assert {run.info.status for run in found} == {"FINISHED"}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[int, torch.Tensor]:
    folder = tmp_path_factory.mktemp("basic")
    found = launch(folder, "basic")
    check_records(folder)
    return found


def check(folder: Path, expected: dict[int, torch.Tensor], launcher: str, *options: str) -> None:
    needs(launcher)
    found = launch(folder, launcher, *options)
    check_records(folder)
    assert all(torch.equal(found[number], expected[number]) for number in expected)


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_launcher_gives_the_same_heatmaps(
    tmp_path: Path, expected: dict[int, torch.Tensor], launcher: str
) -> None:
    check(tmp_path, expected, launcher, *LAUNCHERS[launcher])


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of a Ray cluster of this machine that runs already."""
    needs("ray")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a" * 64)
    port = free_port()
    ray = str(Path(sys.executable).with_name("ray"))
    typed = [ray, "start", "--head", "--block", "--num-cpus=2", "--include-dashboard=false",
             "--node-ip-address=127.0.0.1"]  # fmt: skip
    server = subprocess.Popen([*typed, f"--port={port}"])
    wait_for(port, server)
    yield f"127.0.0.1:{port}"
    server.terminate()
    server.wait(60)


def test_an_existing_ray_cluster(
    tmp_path: Path, expected: dict[int, torch.Tensor], cluster: str
) -> None:
    check(tmp_path, expected, "ray", f"hydra.launcher.ray.init.address='{cluster}'",
          "+hydra.launcher.ray.init.object_store_memory=null")  # fmt: skip


def test_slurm_is_asked_for_account_partition_and_array(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("submitit")
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(f'#!/bin/sh\ncp "$1" {tmp_path}/asked\necho no cluster >&2\nexit 1\n')
    sbatch.chmod(0o755)
    srun = sbatch.with_name("srun")
    srun.write_text("#!/bin/sh\n")
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", f"{sbatch.parent}:{os.environ['PATH']}")
    mine = ["hydra.launcher.account=lab", "hydra.launcher.partition=gpu",
            "hydra.launcher.array_parallelism=2"]  # fmt: skip
    done = command(tmp_path, "-m", "hydra/launcher=slurm", *mine, *MEMBERS)
    assert done.returncode == 1
    asked = (tmp_path / "asked").read_text()
    for line in ("--account=lab", "--partition=gpu", "--array=0-3%2", "--cpus-per-task=8"):
        assert f"#SBATCH {line}\n" in asked
    assert {run.info.status for run in runs(tmp_path)} == {"FAILED"}
