"""``genattr sync``: records what a tracking store that was away has not taken."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genattr import config
from genattr.errors import UserError, first_line, require
from genattr.told import STARS

if TYPE_CHECKING:
    from genattr.tracking.base import Tracking
    from genattr.tracking.journal import Journal

PLACES = ("outputs", "multirun")  # where runs and sweeps are, beside the database


def main(words: Sequence[str]) -> None:
    """Record what is kept in the named folders, run by run; what is recorded is not done again."""
    parser = argparse.ArgumentParser(
        prog=f"{config.program()} sync",
        description="Record runs, or the rest of runs, that were kept in their folders because the "
        "tracking store had gone away. A second time does nothing.",
    )
    parser.add_argument(
        "folders", nargs="*", type=Path, help="of runs or sweeps; default: outputs/ and multirun/"
    )
    parser.add_argument("--uri", help="tracking URI; default: that of the run")
    parser.add_argument("--dry-run", action="store_true", help="only say what there is")
    chosen = parser.parse_args(words)
    for folder in chosen.folders:
        require(folder.is_dir(), f"{folder}: no such folder")
    kept = _kept(chosen.folders or [config.home() / name for name in PLACES])
    for journal in kept:
        _sync(journal, chosen.uri, is_dry=chosen.dry_run)
    done = "are to be recorded" if chosen.dry_run else "were recorded"
    print(f"{len(kept)} runs {done}" if kept else "All runs are recorded")


def _kept(folders: Sequence[Path]) -> list[Journal]:
    from genattr.tracking.journal import journals

    return [journal for folder in folders if folder.is_dir() for journal in journals(folder)]


def _sync(journal: Journal, uri: str | None, *, is_dry: bool) -> None:
    name = f"{journal.opening.name}: {journal.folder}"
    if is_dry:
        print(f"{name}: {len(journal.entries)} entries")
        return
    tracking = _tracking(journal, uri)
    try:
        run_id = journal.record(tracking)
    except Exception as error:
        raise UserError(
            f"{name}: not recorded to its end ({first_line(error)}); the same command goes on"
        ) from error
    print(f"{name}: run {run_id}", flush=True)


def _tracking(journal: Journal, uri: str | None) -> Tracking:
    """Return the store that a run is recorded in; UserError if it does not answer."""
    from genattr.tracking.mlflow import MlflowTracking

    meant = uri or journal.opening.uri
    if not meant or STARS in meant:
        raise UserError(f"{journal.file}: its tracking URI has a password: give it by --uri")
    tracking = MlflowTracking(meant, journal.opening.experiment or "genattr")
    tracking.reach()
    tracking.prepare()
    return tracking
