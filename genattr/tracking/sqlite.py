"""SQLite databases: their files by any name, each made by one process at a time."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from genattr.errors import UserError, require
from genattr.files import try_folder

PREFIX = "sqlite:///"
EXACT = "sqlite+pysqlite:///"  # the same, but MLflow makes no folder of the undecoded name
DEFAULT_ARTIFACTS = "_MLFLOW_SERVER_ARTIFACT_ROOT"  # environment variable that MLflow looks at
SPECIAL = frozenset("%?")
LOCKED = "database is locked"  # as SQLite says it
PATIENCE, PAUSE = 90.0, 1.0  # seconds for a database that another process has locked
LONGEST_WAIT = 600.0  # seconds for other processes, which make a database in about ten


def address(uri: str) -> str:
    """Return a tracking URI under which MLflow finds the database that the given one means.

    SQLAlchemy decodes ``%20``, and takes what follows a ``?`` for options. A folder whose name has
    such characters and that is there by this name is meant as it stands.

    Raises
    ------
    UserError
        If the installed SQLAlchemy has no way to write it.
    """
    folder, slash, name = uri.removeprefix(PREFIX).rpartition("/")
    if not uri.startswith(PREFIX) or not _is_literal(Path(folder + slash)):
        return uri
    quoted = folder.replace("%", "%25").replace("?", "%3F")
    for written in (quoted, folder):
        found = file_of(f"{EXACT}{written}{slash}{name}")
        if found is not None and found.parent == Path(folder + slash).absolute():
            return f"{EXACT}{written}{slash}{name}"
    raise UserError(
        f"tracking.uri={uri}: the installed SQLAlchemy finds no database in a folder of this name: "
        "pip install -U sqlalchemy, or choose another folder for it"
    )


def _is_literal(folder: Path) -> bool:
    """Whether a folder, or the first one above it with special characters, is there."""
    special = [path for path in (folder, *folder.parents) if SPECIAL & set(path.name)]
    return bool(special) and special[-1].is_dir()


def file_of(uri: str) -> Path | None:
    """Return the file of an SQLite database; None for other stores, and in memory."""
    if not uri.startswith("sqlite"):
        return None
    path = _plain(uri) or _decoded(uri)
    return Path(path).absolute() if path and not path.startswith((":memory:", "file:")) else None


def _plain(uri: str) -> str | None:
    """Read a URI in which nothing is encoded; None: another one. SQLAlchemy's import takes long."""
    return None if SPECIAL & set(uri) or not uri.startswith(PREFIX) else uri.removeprefix(PREFIX)


def _decoded(uri: str) -> str | None:
    from sqlalchemy.engine import make_url

    return make_url(uri).database


@contextmanager
def alone(uri: str) -> Iterator[None]:
    """Open a database of SQLite, if the URI is one, while no other process of this machine does.

    Raises
    ------
    UserError
        If another process keeps it for long.
    OSError, sqlite3.Error
        If the file cannot be opened.
    """
    path = file_of(uri)
    if path is None:
        yield
        return
    _try_writing(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.with_name(f".{path.name}.lock")):
        with closing(sqlite3.connect(path, timeout=PATIENCE)) as database:
            database.execute("PRAGMA schema_version")
        yield


def _try_writing(path: Path) -> None:
    """Refuse a database that can only be read, which SQLite would tell at the first record."""
    try_folder("tracking.uri", path.parent)
    require(
        not path.exists() or os.access(path, os.W_OK),
        f"tracking.uri={path} is not for writing: use another file, or tracking=none",
    )


def patiently(call: Callable[[], Any]) -> Any:
    """Call again for a while where another process has locked a database of SQLite."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return call()
        except Exception as error:
            if LOCKED not in str(error) or time.monotonic() > end:
                raise
        time.sleep(PAUSE)


def artifacts(uri: str) -> str | None:
    """Return the URI of the folder for files of runs beside a database; None: the server's."""
    path = file_of(uri)
    return None if path is None else (path.parent / "mlartifacts").as_uri()


@contextmanager
def local_artifacts(uri: str) -> Iterator[None]:
    """Keep MLflow, as it makes a database, from writing the working folder's name into it.

    It does that without escaping quotes.
    """
    folder = artifacts(uri)
    before = os.environ.get(DEFAULT_ARTIFACTS)
    if folder is None or before is not None:
        yield
        return
    os.environ[DEFAULT_ARTIFACTS] = folder
    try:
        yield
    finally:
        del os.environ[DEFAULT_ARTIFACTS]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock file; where the file system has no locks, go on without."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=LONGEST_WAIT)
    except Timeout as error:
        raise UserError(
            f"{path}: another process has held this for {LONGEST_WAIT:.0f} s"
        ) from error
    except (OSError, NotImplementedError):
        pass
    try:
        yield
    finally:
        lock.release()
