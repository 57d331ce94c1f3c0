"""Attribution heatmaps, and the question what should stand where a photo is removed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genattr.types import Heatmap

__version__ = "0.1.0"


def load(run: str | Path, uri: str | None = None) -> list[Heatmap]:
    """Read the heatmaps of a finished run.

    Parameters
    ----------
    run
        A run id of the tracking store, a run's folder, or its ``heatmaps.npz``; the layout of
        that file is in ``genattr.store.archive``.
    uri
        Tracking URI; None: the default database of this checkout or folder.

    Returns
    -------
    The heatmaps in the run's order, raw and at native resolution.
    """
    from genattr.config import home
    from genattr.store import archive
    from genattr.tracking import fetch

    path = Path(run)
    if path.is_dir():
        path = path / "heatmaps.npz"
    if not path.is_file():
        path = fetch.download_heatmaps(str(run), uri or f"sqlite:///{home()}/mlflow.db")
    return list(archive.read(path))
