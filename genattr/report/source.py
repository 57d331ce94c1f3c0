"""What a report is about: a sweep's members, or a run, from a folder or a tracking store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from genattr import config, gallery, members, tracking
from genattr.errors import require
from genattr.members import Member

FILES = (*members.FILES, gallery.FILE)


@dataclass(frozen=True)
class Source:
    """Finished runs that belong together.

    Attributes
    ----------
    name
        The sweep's id, or the run's.
    folders
        Where the members' folders are, one a sweep.
    members
        In the sweep's order.
    record
        The run that the report is recorded on.
    """

    name: str
    folders: Sequence[Path]
    members: Sequence[Member]
    record: tracking.Run


def find(name: str, uri: str | None, temporary: Path) -> Source:
    """Find a sweep or a run by its folder, the sweep's id, or MLflow's id of a run.

    Parameters
    ----------
    uri
        The tracking store to ask; None: that of the runs, or the usual one.
    temporary
        Takes what is fetched from the store.

    Raises
    ------
    UserError
        If nothing finished is found under that name.
    """
    folder = _folder(name)
    if not folder.is_dir():
        folder = tracking.download(name, uri or members.default_uri(), temporary, FILES)
    found = members.finished(folder)
    require(len(found) > 0, f"{name}: nothing in it has finished")
    store = members.store_of(found[0], uri)
    own = store.find({"kind": "sweep", "sweep": folder.name})
    run_id = own[-1] if own else found[0].summary.run_id if len(found) == 1 else None
    record = store.reopen(run_id) if run_id is not None else tracking.Run()
    return Source(folder.name, [folder], found, record)


def together(sources: Sequence[Source]) -> Source:
    """Make one of several: where two runs fit one place of a table, that of the first counts."""
    names = " + ".join(source.name for source in sources)
    found = [member for source in sources for member in source.members]
    folders = [folder for source in sources for folder in source.folders]
    return Source(names, folders, found, sources[0].record)


def _folder(name: str) -> Path:
    """Return the folder of that name, here or where sweeps are kept."""
    here = Path(name)
    return here.resolve() if here.is_dir() else config.home() / "multirun" / here.name
