"""One tracking server for several machines: PostgreSQL, ``mlflow server``, a sweep through HTTP."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from mlflow import MlflowClient

import genattr
from tests.servers import free_port, wait_for
from tests.sweep.test_launchers import needs
from tests.sweep.test_lifecycle import command

pytestmark = pytest.mark.slow
PASSWORD = "swordfish"


def programs() -> Path:
    """Return the folder of PostgreSQL's programs, which Debian keeps off the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if not found and not on_path:
        pytest.skip("PostgreSQL is not installed")
    return (found[-1] if found else Path(str(on_path))).parent


def as_other(*words: str | Path) -> list[str]:
    """PostgreSQL refuses to run as root."""
    typed = [str(word) for word in words]
    return ["runuser", "-u", "postgres", "--", *typed] if os.getuid() == 0 else typed


@pytest.fixture
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URI of an empty database, on a port of this machine alone."""
    folder = programs()
    data = Path(f"/var/tmp/genattr-postgres-{os.getpid()}")
    data.mkdir(mode=0o700)
    secret = data.with_suffix(".password")
    secret.write_text(PASSWORD)
    if os.getuid() == 0:
        for path in (data, secret):
            shutil.chown(path, "postgres")
    owner = "postgres" if os.getuid() == 0 else getpass.getuser()
    port = free_port()
    make = [folder / "initdb", "-D", data, "-A", "scram-sha-256", "-U", owner]
    listen = ["-c", "listen_addresses=127.0.0.1", "-c", f"port={port}"]
    try:
        subprocess.run(as_other(*make, f"--pwfile={secret}"), check=True, stdout=subprocess.DEVNULL)
        run = [folder / "postgres", "-D", data, *listen, "-c", f"unix_socket_directories={data}"]
        server = subprocess.Popen(as_other(*run), stderr=subprocess.DEVNULL)
        wait_for(port, server)
        yield f"postgresql+psycopg2://{owner}:{PASSWORD}@127.0.0.1:{port}/postgres"
        server.terminate()
        server.wait(30)
    finally:
        shutil.rmtree(data)
        secret.unlink()


@pytest.fixture
def tracking_server(database: str, tmp_path: Path) -> Iterator[str]:
    """Address of an MLflow server that keeps its records in the database."""
    if find_spec("psycopg2") is None:
        pytest.skip("psycopg2 is not installed")
    port = free_port()
    mlflow = str(Path(sys.executable).with_name("mlflow"))
    typed = [mlflow, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    places = ["--backend-store-uri", database, "--artifacts-destination", str(tmp_path / "files")]
    quiet = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (tmp_path / "server.txt").open("wb") as told:
        server = subprocess.Popen([*typed, *places], stdout=told, stderr=told, env=quiet)
    wait_for(port, server, 240)
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait(30)


def test_a_joblib_sweep_through_a_server_on_postgresql_loses_nothing(
    tracking_server: str, tmp_path: Path
) -> None:
    needs("joblib")
    several = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "method=random,center",
               "seed=range(0,3)", "metric.deletion.tie_seeds=1"]  # fmt: skip
    done = command(tmp_path, "-m", *several, uri=tracking_server)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    client = MlflowClient(tracking_server)
    experiment = client.get_experiment_by_name("genattr")
    found = client.search_runs([experiment.experiment_id], order_by=["metrics.member ASC"])
    members = [run for run in found if run.data.tags["kind"] == "member"]
    (parent,) = [run for run in found if run.data.tags["kind"] == "sweep"]
    assert [run.data.metrics["member"] for run in members] == [0, 1, 2, 3, 4, 5]
    assert {run.info.status for run in found} == {"FINISHED"}
    assert {run.data.tags["mlflow.parentRunId"] for run in members} == {parent.info.run_id}
    for run in members:
        kept = client.download_artifacts(run.info.run_id, "heatmaps.npz", str(tmp_path))
        here = genattr.load(tmp_path / "sweep" / run.data.tags["member"])
        there = genattr.load(Path(kept))
        assert [one.image_id for one in here] == [one.image_id for one in there]
        assert len(here) == run.data.metrics["photos"] == 2
        assert "deletion" in " ".join(run.data.metrics)
