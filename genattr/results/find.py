"""Finished sweeps and runs by name, from a folder or a tracking store."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from genattr import config
from genattr.errors import UserError, reason, require
from genattr.results import examples
from genattr.results.finished import FILES, Member, finished
from genattr.store import archive
from genattr.tracking.base import NoTracking, Run, Tracking
from genattr.tracking.fetch import download, download_heatmaps
from genattr.tracking.mlflow import MlflowTracking
from genattr.types import Heatmap

log = logging.getLogger(__name__)
HEATMAPS = "heatmaps.npz"  # a finished run's
WITH_EXAMPLES = (*FILES, examples.FILE)  # of a run, where pictures are drawn from it


@dataclass(frozen=True)
class Source:
    """Finished runs that belong together.

    Attributes
    ----------
    name
        The sweep's id, or the run's.
    folders
        The folders that hold the members' folders, one per sweep.
    members
        In the sweep's order.
    store
        Where they are recorded.
    record
        The run that later results, such as a report, are recorded on.
    is_here
        The members' folders are on this machine, and not copies from the store.
    """

    name: str
    folders: Sequence[Path]
    members: Sequence[Member]
    store: Tracking
    record: Run
    is_here: bool


def find(name: str, uri: str | None, files: Sequence[str], temporary: Path) -> Source:
    """Find a sweep or a run by its folder, the sweep's id, or MLflow's id of a run.

    Parameters
    ----------
    uri
        The tracking store to search; None: that of the runs, or the default one.
    files
        Files to download from the store if there is no folder.
    temporary
        Folder for the downloaded files.

    Raises
    ------
    UserError
        If nothing finished is found under that name.
    """
    folder = _folder(name)
    is_here = folder.is_dir()
    if not is_here:
        folder = download(name, uri or _default_uri(name), temporary, files)
    members = finished(folder)
    require(len(members) > 0, f"{name}: nothing in it has finished")
    store = _here(members[0]) if is_here and uri is None else _store_of(members[0], uri)
    sweep_runs = store.find({"kind": "sweep", "sweep": folder.name})
    run_id = (
        sweep_runs[-1] if sweep_runs else members[0].summary.run_id if len(members) == 1 else None
    )
    record = store.reopen(run_id) if run_id is not None else Run()
    return Source(folder.name, [folder], members, store, record, is_here)


def _of_file(file: Path) -> list[Heatmap]:
    try:
        return list(archive.read(file))
    except Exception as error:  # whatever its damage leads to
        raise UserError(f"{file}: no whole file of heatmaps: {reason(error)}") from error


def load(run: str | Path, uri: str | None = None) -> list[Heatmap] | dict[str, list[Heatmap]]:
    """Read the heatmaps of a finished run, or those of a sweep's runs.

    Parameters
    ----------
    run
        A run id of the tracking store, a run's folder, its ``heatmaps.npz``, or an ``.npz`` that
        ``genattr.Heatmap.save`` wrote; the layout of that file is in ``genattr.store.archive``.
        Or a sweep's folder, or its id.
    uri
        Tracking URI; None: the default database of this checkout or folder.

    Returns
    -------
    The heatmaps in the run's order, raw and at native resolution. Of a sweep: a mapping from its
    runs, named by what sets them apart, such as "SP · patch_size 5", to their heatmaps, in
    the sweep's order.

    Raises
    ------
    UserError
        If nothing in a sweep's folder has finished, or a file is damaged, or none of heatmaps.
    """
    folder = _folder(str(run))
    if Path(run).is_file():
        return _of_file(Path(run))
    if folder.is_dir() and not (folder / HEATMAPS).is_file():
        return _by_member(folder)
    if folder.is_dir():
        return _of_file(folder / HEATMAPS)
    return list(archive.read(download_heatmaps(str(run), uri or _default_uri(str(run)))))


def _by_member(folder: Path) -> dict[str, list[Heatmap]]:
    """Read the heatmaps of a sweep's members, by their names."""
    members = finished(folder)
    require(len(members) > 0, f"{folder}: no finished run in it, which would have a {HEATMAPS}")
    names = [member.summary.name for member in members]
    return {
        f"{name} ({place})" if names.count(name) > 1 else name: list(
            archive.read(member.folder / HEATMAPS)
        )
        for place, (name, member) in enumerate(zip(names, members, strict=True))
    }


def together(sources: Sequence[Source]) -> Source:
    """Combine several sources; if two runs fit one cell of a table, the first source's counts."""
    names = " + ".join(source.name for source in sources)
    members = [member for source in sources for member in source.members]
    folders = [folder for source in sources for folder in source.folders]
    first = sources[0]
    return Source(names, folders, members, first.store, first.record, first.is_here)


def _folder(name: str) -> Path:
    """Return the folder of that name, here or where sweeps are kept."""
    here = Path(name)
    return here.resolve() if here.is_dir() else config.home() / "multirun" / here.name


def _default_uri(name: str) -> str:
    """Return the default database; UserError if there is none to look for a run in."""
    database = config.home() / "mlflow.db"
    require(
        database.is_file(),
        f"{name}: no such folder, and sqlite:///{database} is not there: where are its runs "
        "recorded? Give their folder or the tracking URI",
    )
    return f"sqlite:///{database}"


def _here(member: Member) -> Tracking:
    """Return the store of a member whose files are on this machine; it may have gone away."""
    try:
        return _store_of(member, None)
    except UserError as error:
        log.warning("%s: what is found is not added to the record", error)
        return NoTracking()


def _store_of(member: Member, uri: str | None) -> Tracking:
    """Return the tracking store that a member is recorded in; UserError if it does not answer."""
    if member.summary.run_id is None:
        return NoTracking()
    shown = member.config["tracking.uri"]
    require(uri is not None or ":***@" not in shown, f"--uri is needed: {shown} has a password")
    store = MlflowTracking(uri or shown, member.config["tracking.experiment"])
    store.prepare()
    return store
