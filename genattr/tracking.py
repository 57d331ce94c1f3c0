"""Where runs are recorded. The only module that knows MLflow."""

from __future__ import annotations

import getpass
import logging
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

import numpy as np
from numpy.typing import NDArray

from genattr import machine
from genattr.errors import UserError, require

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)
PROCESS = "process"  # tag of a run: where it runs
DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


@dataclass(frozen=True)
class Example:
    """One heatmap as people look at it.

    Attributes
    ----------
    title
        Names of the photo and of the explained class, and the class's probability.
    step
        The photo's position, the same in every run over the same photos.
    heatmap
        (D, D, 3) uint8: the heatmap over the photo.
    """

    title: str
    step: int
    heatmap: NDArray[np.uint8]


class Run:
    """An open run that is recorded nowhere but in its folder."""

    run_id: str | None = None

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Record aggregate numbers, or those of a step; undefined (NaN) ones are left out."""

    def picture(self, key: str, step: int, pixels: NDArray[np.uint8]) -> None:
        """Record (H, W, 3) pixels, of a series of pictures that is looked at by its steps."""

    def files(self, files: Sequence[Path]) -> None:
        """Record files."""

    def folder(self, folder: Path) -> None:
        """Record a folder with all that is in it, under its name."""

    def examples(self, examples: Sequence[Example]) -> None:
        """Record a few heatmaps for looking at, as images and as a table."""

    def tag(self, key: str, value: str) -> None:
        """Label the run."""

    def close(self, status: str) -> None:
        """End the run as FINISHED, FAILED or KILLED."""

    def resume(self) -> None:
        """Mark a run that was closed as running again, in this process."""


@contextmanager
def closing(run: Run) -> Iterator[Run]:
    """Close the run whatever happens: FAILED on an exception, KILLED on Ctrl-C."""
    try:
        yield run
    except (KeyboardInterrupt, SystemExit):
        run.close("KILLED")
        raise
    except BaseException as error:
        run.tag("error", f"{type(error).__name__}: {error}"[:500])
        run.close("FAILED")
        raise
    run.close("FINISHED")


@dataclass(frozen=True)
class NoTracking:
    """Record nothing; a run's folder still holds all of its results."""

    def prepare(self) -> None:
        """Do nothing."""

    def start(self, name: str, params: Mapping[str, str], tags: Mapping[str, str]) -> Run:
        """Open a run that keeps no record."""
        return Run()

    def find(self, tags: Mapping[str, str]) -> list[str]:
        """Find nothing."""
        return []

    def reopen(self, run_id: str) -> Run:
        """Return a run that keeps no record."""
        return Run()

    def how_to_look(self, search: Mapping[str, str], order_by: str) -> str:
        """Return an empty text: there is no page to look at."""
        return ""

    def how_to_look_at_run(self, run_id: str) -> str:
        """Return an empty text: there is no page to look at."""
        return ""


@dataclass(frozen=True)
class MlflowTracking:
    """Record runs in MLflow.

    Parameters
    ----------
    uri
        Any MLflow tracking URI; SQLite in a file needs no server.
    experiment
        Name of the MLflow experiment, created when needed.
    """

    uri: str
    experiment: str

    def prepare(self) -> None:
        """Create database and experiment, and close what killed processes left open.

        Raises
        ------
        UserError
            If the tracking store does not answer.
        """
        self._check_server()
        try:
            self._close_left_open()
        except UserError:
            raise
        except Exception as error:
            line = str(error).strip().split("\n")[0].replace(self.uri, self._shown)
            raise UserError(f"tracking.uri={self._shown} does not work: {line}") from error

    def start(self, name: str, params: Mapping[str, str], tags: Mapping[str, str]) -> Run:
        """Open a run under its name."""
        standard = {
            "mlflow.user": _user(),
            "mlflow.source.name": Path(sys.argv[0]).name,
            PROCESS: machine.process(),
            "mlflow.source.git.commit": machine.git_revision().split("+")[0],
        }
        run = self.client.create_run(self._experiment_id, run_name=name, tags=standard | dict(tags))
        opened = MlflowRun(self.client, run.info.run_id)
        opened.parameters(params)
        return opened

    def _close_left_open(self) -> None:
        """Close the open runs of processes of this machine that are no more."""
        for run in self._search("attribute.status = 'RUNNING'"):
            if machine.has_ended(run.data.tags.get(PROCESS, "")):
                self.client.set_tag(run.info.run_id, "error", "its process was killed")
                self.client.set_terminated(run.info.run_id, status="KILLED")

    def find(self, tags: Mapping[str, str]) -> list[str]:
        """Return the ids of the runs with these tags, the oldest first."""
        found = self._search(_condition(tags))
        return [run.info.run_id for run in found]

    def reopen(self, run_id: str) -> Run:
        """Return a run that was closed, to add to its record."""
        return MlflowRun(self.client, run_id)

    def _search(self, condition: str) -> list[Any]:
        """Return all runs that meet a condition, page by page, the oldest first."""
        runs: list[Any] = []
        token = None
        while True:
            page = self.client.search_runs(
                [self._experiment_id],
                condition,
                order_by=["attribute.start_time ASC"],
                page_token=token,
            )
            runs += page
            token = page.token
            if not token:
                return runs

    def how_to_look(self, search: Mapping[str, str], order_by: str) -> str:
        """Return the lines that start the UI and open it on the runs with these tags.

        Sorting by a metric makes the UI list the members of a sweep, which it otherwise folds into
        their parent; it opens on their heatmaps side by side.
        """
        return self._lines(
            f"/runs?workflowType=machine_learning&searchFilter={quote(_condition(search))}"
            f"&orderByKey={quote(f'metrics.`{order_by}`')}&orderByAsc=true&compareRunsMode=ARTIFACT"
        )

    def how_to_look_at_run(self, run_id: str) -> str:
        """Return the lines that start the UI and open it on one run."""
        return self._lines(f"/runs/{run_id}?workflowType=machine_learning")

    def _lines(self, page: str) -> str:
        page = f"/#/experiments/{self._experiment_id}{page}"
        if self.uri.startswith("http"):
            return f"See it in:     {self._shown.rstrip('/')}{page}"
        mlflow = Path(sys.executable).with_name("mlflow")
        command = shlex.join([str(mlflow), "ui", "--backend-store-uri", self._shown])
        return f"Start the UI:  {command}\nthen open:     http://127.0.0.1:5000{page}"

    @property
    def _shown(self) -> str:
        return without_password(self.uri)

    @cached_property
    def client(self) -> MlflowClient:
        """The client, made at first use: importing MLflow takes seconds."""
        os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
        from mlflow import MlflowClient

        for noisy in ("alembic", "mlflow"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        return MlflowClient(tracking_uri=self.uri)

    @cached_property
    def _experiment_id(self) -> str:
        found = self.client.get_experiment_by_name(self.experiment)
        if found is not None:
            require(
                found.lifecycle_stage == "active",
                f"tracking.experiment={self.experiment} was deleted in MLflow: restore it there, "
                "or give another name",
            )
            return str(found.experiment_id)
        return str(self.client.create_experiment(self.experiment, self._artifacts()))

    def _artifacts(self) -> str | None:
        """Return an absolute place for artifacts beside a local database, else the server's own."""
        if not self.uri.startswith("sqlite:///"):
            return None
        database = Path(self.uri.removeprefix("sqlite:///")).absolute()
        folder = database.parent / "mlartifacts" / quote(self.experiment, safe="")
        return folder.as_uri()

    def _check_server(self) -> None:
        """Knock once at a server's door, instead of MLflow's minutes of retries."""
        address = urlsplit(self.uri)
        scheme = address.scheme.split("+")[0]
        try:
            if scheme in ("http", "https"):
                import requests

                requests.get(self.uri, timeout=10)
            elif scheme in DATABASE_PORTS and address.hostname:
                door = (address.hostname, address.port or DATABASE_PORTS[scheme])
                socket.create_connection(door, timeout=10).close()
        except OSError as error:  # also the base of requests' exceptions
            raise UserError(
                f"tracking.uri={self._shown} does not answer ({type(error).__name__}); "
                "start it with `mlflow server`, or use tracking=none"
            ) from error


def without_password(uri: str) -> str:
    """Return a URI as people may see it: the password, if it has one, is starred out."""
    address = urlsplit(uri)
    if address.password is None:
        return uri
    user, _, door = address.netloc.rpartition("@")
    hidden = f"{user.partition(':')[0]}:***@{door}"
    return urlunsplit(address._replace(netloc=hidden))


def _condition(tags: Mapping[str, str]) -> str:
    return " and ".join(f"tags.{key}='{value}'" for key, value in tags.items())


def _user() -> str:
    """Return who runs this; a container may know no name for its user id."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


class MlflowRun(Run):
    """A run in MLflow."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self.run_id: str = run_id

    def parameters(self, values: Mapping[str, str]) -> None:
        """Record what was chosen."""
        from mlflow.entities import Param

        self._client.log_batch(self.run_id, params=[Param(k, str(v)) for k, v in values.items()])

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        defined = {key: value for key, value in values.items() if not np.isnan(value)}
        metrics = [Metric(key, value, now, step) for key, value in defined.items()]
        self._client.log_batch(self.run_id, metrics=metrics)

    def picture(self, key: str, step: int, pixels: NDArray[np.uint8]) -> None:
        self._client.log_image(self.run_id, pixels, key=key, step=step, synchronous=True)

    def files(self, files: Sequence[Path]) -> None:
        for path in files:
            self._client.log_artifact(self.run_id, str(path))

    def folder(self, folder: Path) -> None:
        self._client.log_artifacts(self.run_id, str(folder), folder.name)

    def examples(self, examples: Sequence[Example]) -> None:
        import mlflow

        table: dict[str, list[Any]] = {"image": [], "heatmap": []}
        for example in examples:
            self._client.log_image(
                self.run_id, example.heatmap, key="heatmap", step=example.step, synchronous=True
            )
            table["image"].append(example.title)
            table["heatmap"].append(mlflow.Image(example.heatmap))
        if examples:
            self._client.log_table(self.run_id, table, "comparison.json")

    def tag(self, key: str, value: str) -> None:
        self._client.set_tag(self.run_id, key, value)

    def close(self, status: str) -> None:
        self._client.set_terminated(self.run_id, status=status)

    def resume(self) -> None:
        self.tag(PROCESS, machine.process())
        self._client.update_run(self.run_id, status="RUNNING")


def download_heatmaps(run_id: str, uri: str) -> Path:
    """Fetch the heatmap file of a finished run from the tracking store."""
    from mlflow.artifacts import download_artifacts

    return Path(download_artifacts(run_id=run_id, artifact_path="heatmaps.npz", tracking_uri=uri))


def download(name: str, uri: str, folder: Path, names: Sequence[str]) -> Path:
    """Fetch files of a run by its id, or of a sweep's members by the sweep's id or its run's.

    Returns
    -------
    A folder in ``folder``, named as the run or the sweep.

    Raises
    ------
    UserError
        If the tracking store knows no such run, and no finished member of such a sweep.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(tracking_uri=uri)
    sweep: str | None
    try:
        run = client.get_run(name)
    except MlflowException:
        sweep = name
    else:
        sweep = run.data.tags["sweep"] if run.data.tags.get("kind") == "sweep" else None
    own = folder / (sweep or name)
    if sweep is not None:
        download_members(sweep, uri, own, names)
        return own
    _fetch(client, name, names, own)
    return own


def download_members(sweep: str, uri: str, folder: Path, names: Sequence[str]) -> None:
    """Fetch files of the finished members of a sweep, a folder a member.

    Raises
    ------
    UserError
        If the tracking store knows no finished member of it.
    """
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiments = [one.experiment_id for one in client.search_experiments()]
    condition = _condition({"kind": "member", "sweep": sweep}) + " and attribute.status='FINISHED'"
    members = client.search_runs(experiments, condition, max_results=10_000)
    require(
        len(members) > 0,
        f"{sweep}: no such folder, and {without_password(uri)} knows no finished member of a sweep "
        "of this id",
    )
    for run in members:
        _fetch(client, run.info.run_id, names, folder / run.data.tags["member"])


def _fetch(client: MlflowClient, run_id: str, names: Sequence[str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        client.download_artifacts(run_id, name, str(folder))
