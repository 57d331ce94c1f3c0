"""``genattr sync``: records what a tracking store that was away has not taken."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from genattr import claims, config
from genattr.errors import UserError, first_line, require
from genattr.told import STARS, without_secrets

if TYPE_CHECKING:
    from genattr.tracking.base import Tracking
    from genattr.tracking.journal import Journal

PLACES = ("outputs", "multirun")  # where runs and sweeps are, beside the database
GOES_ON = "the same command goes on"


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
    files = list(_files(chosen.folders or [config.home() / name for name in PLACES]))
    sync = _describe if chosen.dry_run else _Stores(chosen.uri).record
    failed = {file.parent for file in files if not _told(sync, file)}
    count = len({file.parent for file in files})
    require(not failed, f"{len(failed)} of {count} runs are not recorded: {GOES_ON}")
    done = "are to be recorded" if chosen.dry_run else "were recorded"
    print(f"{count} runs {done}" if files else "All runs are recorded")


def _files(folders: Sequence[Path]) -> Iterator[Path]:
    from genattr.tracking.journal import journals

    for folder in folders:
        yield from journals(folder.absolute())


def _told(sync: Callable[[Path], str], file: Path) -> bool:
    """Print how it went with a run; return whether it went well."""
    try:
        print(f"{file.parent}: {sync(file)}", flush=True)
    except Exception as error:
        print(f"{file.parent}: not recorded: {without_secrets(first_line(error))}", flush=True)
        return False
    return True


def _describe(file: Path) -> str:
    from genattr.tracking.journal import Journal

    journal = Journal(file)
    return f"{journal.opening.name}: {len(journal.entries)} entries"


class _Stores:
    """Tracking stores, each found out once: one that does not answer is not asked again.

    Parameters
    ----------
    uri
        Of all runs; None: each has its own.
    """

    def __init__(self, uri: str | None) -> None:
        self._uri = uri
        self._known: dict[tuple[str, str], Tracking | UserError] = {}

    def record(self, file: Path) -> str:
        """Record a run of which nobody works any more; return what to say of it."""
        from genattr.tracking.journal import Journal

        with claims.held(file.parent, f"use {config.program()} sync after it"):
            journal = Journal(file)
            with self._store(journal) as store:
                run = journal.open(store)
                _note(journal, run.run_id)
                journal.record(run)
        return f"run {run.run_id}"

    @contextmanager
    def _store(self, journal: Journal) -> Iterator[Tracking]:
        """Yield the store that a run is recorded in; UserError if it does not answer."""
        meant = self._uri or journal.opening.uri
        require(
            bool(meant) and STARS not in meant,
            f"{journal.file}: its tracking URI has a password: give it by --uri",
        )
        key = meant, journal.opening.experiment or "genattr"
        if key not in self._known:
            self._known[key] = _opened(*key)
        found = self._known[key]
        if isinstance(found, UserError):
            raise found
        try:
            yield found
        except Exception:
            self._known[key] = _answering(found)
            raise


def _answering(tracking: Tracking) -> Tracking | UserError:
    """Return a store, or the error of one that has gone away."""
    try:
        tracking.reach()
    except UserError as error:
        return error
    return tracking


def _opened(uri: str, experiment: str) -> Tracking | UserError:
    from genattr.tracking.mlflow import MlflowTracking

    tracking = MlflowTracking(uri, experiment)
    try:
        tracking.reach()
        tracking.prepare()
    except UserError as error:
        return error
    return tracking


def _note(journal: Journal, run_id: str | None) -> None:
    """Write into a run's summary under which id it is recorded; its time stays."""
    from genattr.results.summary import SUMMARY, load_summary

    file = journal.folder / SUMMARY
    if not file.is_file() or (summary := load_summary(journal.folder)).run_id is not None:
        return
    before = file.stat()
    replace(summary, run_id=run_id).save(journal.folder)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
