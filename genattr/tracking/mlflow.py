"""Runs recorded in MLflow."""

from __future__ import annotations

import getpass
import hashlib
import json
import logging
import os
import re
import shlex
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

import numpy as np
from numpy.typing import NDArray

from genattr import environment, imports
from genattr.errors import FaultError, UserError, first_line, obstacle, require
from genattr.tracking import sqlite
from genattr.tracking.base import Example, HalfOpenError, Run, Tracking, condition, without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

log = logging.getLogger(__name__)
PROCESS = "process"  # tag of a run: where it runs
ERROR, WAS_KILLED = "error", "its process was killed"  # tag of a run: why it failed
PICTURE = re.compile(r"images/(.*)[+%]step[+%](\d+)[+%]timestamp[+%].*[+%]compressed\.webp")
SETTINGS = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}  # environment variables of MLflow; a server that is away costs a run about a minute, once
MADE_MEANWHILE = ("already exists", "duplicate key")  # in the messages of databases
PAUSES = (1, 2, 4)  # seconds
PLACE = "workflowType=machine_learning"  # the part of the UI that has runs
SHARED_VIEW = "mlflow.sharedViewState."  # the UI's own tags of an experiment: views by their keys
SHOWN_ALL = {
    "startTime": "ALL",
    "lifecycleFilter": "Active",
    "datasetsFilter": [],
    "modelVersionFilter": "All Runs",
}
SIDE = 256  # pixels of a picture in a table
LONGEST = 5000  # characters of a tag, in the oldest servers
DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


@dataclass(frozen=True)
class MlflowTracking(Tracking):
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

    def reach(self) -> None:
        """Connect to the server, or open the file, without MLflow.

        Raises
        ------
        UserError
            If there is no MLflow, or the tracking store does not answer.
        """
        require(find_spec("mlflow") is not None, "tracking=mlflow needs mlflow: pip install mlflow")
        self._check_server()
        with self.telling(), sqlite.alone(self._address):
            pass

    def prepare(self) -> None:
        """Create database and experiment, and close the open runs of killed processes.

        Raises
        ------
        UserError
            If the tracking store does not answer, or does not work.
        """
        self._check_server()
        with self.telling(), sqlite.alone(self._address):
            sqlite.patiently(self._open)

    @contextmanager
    def telling(self) -> Iterator[None]:
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            line = str(error).strip().split("\n")[0].replace(self.uri, self._shown)
            kind = UserError if obstacle(error) is None else FaultError
            raise kind(f"tracking.uri={self._shown} does not work: {line}") from error

    @property
    def place(self) -> tuple[str, str]:
        return self._shown, self.experiment

    def start(
        self,
        name: str,
        params: Mapping[str, str],
        tags: Mapping[str, str],
        started: float | None = None,
    ) -> Run:
        """Open a run under its name."""
        standard = {
            "mlflow.user": _user(),
            "mlflow.source.name": Path(sys.argv[0]).name,
            PROCESS: environment.process(),
            "mlflow.source.git.commit": environment.git_revision().split("+")[0],
        }
        run = self.client.create_run(
            self._experiment_id,
            start_time=started and int(1000 * started),
            run_name=name,
            tags=standard | dict(tags),
        )
        opened = MlflowRun(self.client, run.info.run_id)
        try:
            opened.parameters(params)
        except Exception as error:
            raise HalfOpenError(first_line(error), opened.run_id) from error
        return opened

    def _open(self) -> None:
        """Make what is missing; once more where other processes make the same at this moment."""
        for wait in PAUSES:
            try:
                return self._close_left_open()
            except Exception as error:
                if not any(sign in str(error) for sign in MADE_MEANWHILE):
                    raise
                time.sleep(wait)
        return self._close_left_open()

    def _close_left_open(self) -> None:
        """Close the open runs of processes of this machine that have ended."""
        for run in self._search("attribute.status = 'RUNNING'"):
            if environment.has_ended(run.data.tags.get(PROCESS, "")):
                self.client.set_tag(run.info.run_id, ERROR, WAS_KILLED)
                self.client.set_terminated(run.info.run_id, status="KILLED")

    def find(self, tags: Mapping[str, str]) -> list[str]:
        """Return the ids of the runs with these tags, the oldest first."""
        runs = self._search(condition(tags))
        return [run.info.run_id for run in runs]

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

    def how_to_look(self, search: Mapping[str, str], order_by: str, columns: Sequence[str]) -> str:
        """Return the lines that start the UI and open it on the runs with these tags.

        The first page is a table of their scores, the second one their heatmaps side by side.
        Sorting by a metric makes the UI list the members of a sweep, which it otherwise hides under
        their parent.
        """
        return self._if_it_answers(lambda: self._lines_of_runs(search, order_by, columns))

    def how_to_look_at_run(self, run_id: str) -> str:
        """Return the lines that start the UI and open it on one run's picture."""
        page = f"/runs/{run_id}/artifacts/contact_sheet.png?{PLACE}"
        return self._if_it_answers(lambda: self._lines(page))

    def _if_it_answers(self, lines: Callable[[], str]) -> str:
        """Return lines, or none where the store has gone away, as was told before."""
        try:
            self._check_server()
            return lines()
        except Exception:
            return ""

    def _lines_of_runs(
        self, search: Mapping[str, str], order_by: str, columns: Sequence[str]
    ) -> str:
        facets = {
            "searchFilter": condition(search),
            "orderByKey": f"metrics.`{order_by}`",
            "orderByAsc": True,
        }
        listed = f"/runs?{PLACE}&{urlencode(facets | {'orderByAsc': 'true'}, quote_via=quote)}"
        shared = self._share(
            facets | {"selectedColumns": [f"metrics.`{name}`" for name in columns]}
        )
        scores = f"/runs?{PLACE}&viewStateShareKey={shared}" if shared else listed
        return self._lines(scores, f"{listed}&compareRunsMode=ARTIFACT")

    def _share(self, view: Mapping[str, Any]) -> str:
        """Keep a view of the runs, as the UI's button Share does; empty if the server refuses."""
        from mlflow.exceptions import MlflowException

        text = json.dumps({**SHOWN_ALL, **view})
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        try:
            self.client.set_experiment_tag(self._experiment_id, f"{SHARED_VIEW}{key}", text)
        except MlflowException:
            return ""
        return key

    def _lines(self, page: str, heatmaps: str = "") -> str:
        is_server = self.uri.startswith("http")
        root = self._shown.rstrip("/") if is_server else "http://127.0.0.1:5000"
        root = f"{root}/#/experiments/{self._experiment_id}"
        opened = f"{'See it in:' if is_server else 'then open:':<14} {root}{page}"
        beside = f"heatmaps:      {root}{heatmaps}" if heatmaps else ""
        mlflow = Path(sys.executable).with_name("mlflow")
        shown = without_password(self._address)
        command = shlex.join([str(mlflow), "ui", "--backend-store-uri", shown])
        started = "" if is_server else f"Start the UI:  {command}"
        return "\n".join(filter(None, (started, opened, beside)))

    @property
    def _shown(self) -> str:
        return without_password(self.uri)

    @cached_property
    def _address(self) -> str:
        return sqlite.address(self.uri)

    @cached_property
    def client(self) -> MlflowClient:
        """The client, made at first use: importing MLflow takes seconds."""
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        with imports.quick("mlflow"), sqlite.local_artifacts(self._address):
            from mlflow import MlflowClient

            for noisy in ("alembic", "mlflow"):
                logging.getLogger(noisy).setLevel(logging.WARNING)
            for told_by_us in ("urllib3", "mlflow.store.db.utils"):
                logging.getLogger(told_by_us).setLevel(logging.CRITICAL)
            return MlflowClient(tracking_uri=self._address)

    @cached_property
    def _experiment_id(self) -> str:
        found = self.client.get_experiment_by_name(self.experiment) or self._make_experiment()
        require(
            found.lifecycle_stage == "active",
            f"tracking.experiment={self.experiment} was deleted in MLflow: restore it there, "
            "or give another name",
        )
        return str(found.experiment_id)

    def _make_experiment(self) -> Experiment:
        """Make the experiment, unless another process has just made it."""
        from mlflow.exceptions import MlflowException

        try:
            made = self.client.create_experiment(self.experiment, self._artifacts())
        except MlflowException:
            found = self.client.get_experiment_by_name(self.experiment)
            if found is None:
                raise
            return found
        return self.client.get_experiment(made)

    def _artifacts(self) -> str | None:
        """Return an absolute folder for artifacts beside a local database; None: the server's."""
        folder = sqlite.artifacts(self._address)
        return folder and f"{folder}/{quote(quote(self.experiment, safe=''))}"

    def _check_server(self) -> None:
        """Connect once to a server, because MLflow would retry for minutes."""
        address = urlsplit(self.uri)
        scheme = address.scheme.split("+")[0]
        try:
            if scheme in ("http", "https"):
                import requests

                requests.get(self.uri, timeout=10)
            elif scheme in DATABASE_PORTS and address.hostname:
                endpoint = (address.hostname, address.port or DATABASE_PORTS[scheme])
                socket.create_connection(endpoint, timeout=10).close()
        except OSError as error:  # also the base of requests' exceptions
            raise UserError(
                f"tracking.uri={self._shown} does not answer ({type(error).__name__}); "
                "start it with `mlflow server`, or use tracking=none"
            ) from error


def _user() -> str:
    """Return the user's name; a container may have none for its user id."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


class MlflowRun(Run):
    """A run in MLflow."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self._is_resumed = False
        self.run_id: str = run_id

    def parameters(self, values: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        self._client.log_batch(self.run_id, params=[Param(k, str(v)) for k, v in values.items()])

    def metrics(
        self, values: Mapping[str, float], step: int = 0, measured: float | None = None
    ) -> None:
        from mlflow.entities import Metric

        now = int(1000 * (measured or time.time()))
        defined = {key: value for key, value in values.items() if not np.isnan(value)}
        metrics = [Metric(key, value, now, step) for key, value in defined.items()]
        self._client.log_batch(self.run_id, metrics=metrics)

    def picture(self, key: str, step: int, pixels: NDArray[np.uint8]) -> None:
        if not (self._is_resumed and (key, step) in self._pictures):
            self._client.log_image(self.run_id, pixels, key=key, step=step, synchronous=True)

    @cached_property
    def _pictures(self) -> set[tuple[str, int]]:
        """The steps of series of pictures that the record has whole."""
        files = self._client.list_artifacts(self.run_id, "images")
        found = filter(None, (PICTURE.fullmatch(file.path) for file in files))
        return {(name[1].replace("#", "/"), int(name[2])) for name in found}

    def files(self, files: Sequence[Path]) -> None:
        for path in files:
            self._client.log_artifact(self.run_id, str(path))

    def folder(self, folder: Path) -> None:
        self._client.log_artifacts(self.run_id, str(folder), folder.name)

    def examples(self, examples: Sequence[Example]) -> None:
        for example in examples:
            self.picture("heatmap", example.step, example.heatmap)
        if examples:
            titles = [example.title for example in examples]
            pictures = [self._in_table(example) for example in examples]
            table = {"image": titles, "heatmap": pictures}
            self._client.log_table(self.run_id, table, "comparison.json")

    def _in_table(self, example: Example) -> dict[str, str]:
        """Record a photo beside its heatmap so that a row of the UI's table shows both whole.

        The UI centers a picture in a square as wide as its column, and shows the square's upper
        half; a click opens the whole picture.
        """
        from PIL import Image

        pair = Image.fromarray(np.hstack([example.photo, example.heatmap]))
        square = Image.new("RGBA", (2 * SIDE, 2 * SIDE))
        square.paste(pair.resize((2 * SIDE, SIDE)))
        files = [f"table_images/comparison/{example.step}.{kind}" for kind in ("png", "webp")]
        for image, file in zip((pair, square), files, strict=True):
            self._client.log_image(self.run_id, image, artifact_file=file)
        return {"type": "image", "filepath": files[0], "compressed_filepath": files[1]}

    def tag(self, key: str, value: str) -> None:
        self._client.set_tag(self.run_id, key, value)

    def describe(self, text: str) -> None:
        self.tag("mlflow.note.content", text[:LONGEST])

    def close(self, status: str, ended: float | None = None) -> None:
        end_time = ended and int(1000 * ended)
        self._client.set_terminated(self.run_id, status=status, end_time=end_time)

    def resume(self) -> None:
        self.tag(PROCESS, environment.process())
        if self._client.get_run(self.run_id).data.tags.get(ERROR) == WAS_KILLED:
            self._client.delete_tag(self.run_id, ERROR)
        self._client.update_run(self.run_id, status="RUNNING")
        self._is_resumed = True
