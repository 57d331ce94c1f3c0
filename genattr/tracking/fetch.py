"""Files of finished runs, fetched from a tracking store."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genattr.errors import require
from genattr.tracking import sqlite
from genattr.tracking.base import condition, without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient


def download_heatmaps(run_id: str, uri: str) -> Path:
    """Fetch the heatmap file of a finished run from the tracking store."""
    from mlflow.artifacts import download_artifacts

    return Path(
        download_artifacts(
            run_id=run_id, artifact_path="heatmaps.npz", tracking_uri=sqlite.address(uri)
        )
    )


def download(name: str, uri: str, folder: Path, names: Sequence[str]) -> Path:
    """Fetch files of a run by its id, or of a sweep's members by the sweep's id or its run's.

    Returns
    -------
    A folder in ``folder``, named after the run or the sweep.

    Raises
    ------
    UserError
        If the tracking store knows no such run, and no finished member of such a sweep.
    """
    from mlflow.exceptions import MlflowException

    client = _client(uri)
    sweep: str | None
    try:
        run = client.get_run(name)
    except MlflowException:
        sweep = name
    else:
        sweep = run.data.tags["sweep"] if run.data.tags.get("kind") == "sweep" else None
    target = _within(folder, sweep or name)
    if sweep is not None:
        download_members(sweep, uri, target, names)
        return target
    _fetch(client, name, names, target)
    return target


def download_members(sweep: str, uri: str, folder: Path, names: Sequence[str]) -> None:
    """Fetch files of the finished members of a sweep, one folder per member.

    Raises
    ------
    UserError
        If the tracking store knows no finished member of it.
    """
    client = _client(uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    wanted = condition({"kind": "member", "sweep": sweep}) + " and attribute.status='FINISHED'"
    members = client.search_runs(experiments, wanted, max_results=10_000)
    require(
        len(members) > 0,
        f"{sweep}: no such folder, and {without_password(uri)} knows no finished member of a sweep "
        "of this id",
    )
    for run in members:
        _fetch(client, run.info.run_id, names, _within(folder, run.data.tags["member"]))


def _client(uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    address = sqlite.address(uri)
    with sqlite.local_artifacts(address):
        return MlflowClient(tracking_uri=address)


def _fetch(client: MlflowClient, run_id: str, names: Sequence[str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        client.download_artifacts(run_id, name, str(folder))


def _within(folder: Path, name: str) -> Path:
    """Return where something of a name from elsewhere stands in a folder, and nowhere else.

    Raises
    ------
    UserError
        If the name is a path, or none.
    """
    is_plain = name not in ("", ".", "..") and not re.search(r"[/\\\0]", name)
    require(is_plain, f"{name!r} names no file or folder inside of {folder}")
    return folder / name
