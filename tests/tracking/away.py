"""A tracking store that goes away after some calls, and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

CALLS = (
    "create_run", "log_batch", "log_artifact", "log_artifacts", "log_image", "log_table", "set_tag",
    "set_terminated",
)  # fmt: skip


@contextmanager
def away_after(count: int) -> Iterator[list[str]]:
    """Have the store take so many calls, and fail at all others; yield the names of all."""
    seen: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(
                MlflowClient, name, _counted(name, getattr(MlflowClient, name), seen, count)
            )
        yield seen


def _counted(name: str, call: Any, seen: list[str], count: int) -> Any:
    def counted(*args: Any, **kwargs: Any) -> Any:
        seen.append(name)
        if len(seen) > count:
            raise MlflowException("Connection refused")
        return call(*args, **kwargs)

    return counted


def recorded(database: Path, uri: str | None = None, experiment: str = "") -> list[dict[str, Any]]:
    """Return what a database, or its server, holds of each run, without ids and times.

    Parameters
    ----------
    experiment
        Whose runs alone are meant; empty: all.
    """
    client = MlflowClient(uri or f"sqlite:///{database}")
    found = client.search_experiments()
    experiments = [one.experiment_id for one in found if experiment in ("", one.name)]
    return [_plain(client, run, str(database.parent)) for run in client.search_runs(experiments)]


def _plain(client: MlflowClient, run: Any, here: str) -> dict[str, Any]:
    ours = ("kind", "sweep", "member", "mlflow.runName", "mlflow.note.content", "error")
    return {
        "status": run.info.status,
        "params": run.data.params,
        "metrics": {k: v for k, v in run.data.metrics.items() if "seconds" not in k},
        "tags": {k: v.replace(here, "") for k, v in run.data.tags.items() if k in ours},
        "files": sorted(_files(client, run.info.run_id, "")),
    }


def _files(client: MlflowClient, run_id: str, folder: str) -> Iterator[str]:
    for entry in client.list_artifacts(run_id, folder):
        if entry.is_dir:
            yield from _files(client, run_id, entry.path)
        elif not entry.path.startswith("images/"):
            yield entry.path
        elif "compressed" in entry.path:  # which comes last, and its name has a time
            yield entry.path.split("%")[0].split("+")[0]
