"""Files that are replaced whole, so that a reader sees all of one or nothing; their names."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from errno import EFBIG, EINVAL
from io import BufferedReader
from itertools import chain, count
from pathlib import Path
from stat import S_ISREG
from uuid import uuid4

from genattr.errors import FaultError, UserError, obstacle, require

TRIAL = 64 * 1024  # bytes of a file that is written to see whether there is room
UNFINISHED = ".unfinished"  # name of a folder
LONGEST = 90  # characters of a plain name
MOST = 1_000_000_000  # bytes of a file that is read at once


@contextmanager
def regular(path: Path) -> Iterator[BufferedReader]:
    """Open a file to read its bytes; a pipe, a device and the like, which may never end, is none.

    Raises
    ------
    OSError
        If it cannot be opened, or is no file.
    """
    with open(path, "rb", opener=_without_waiting) as stream:
        if not S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError(EINVAL, "it is no file, but a pipe, a device or the like", str(path))
        yield stream


def expanded(path: str | os.PathLike[str]) -> Path:
    """Return a path with the home that ``~`` means, or as it is where there is no such home."""
    return Path(os.path.expanduser(path))


def require_working_folder() -> None:
    """Raise UserError if the folder in which the program was started is no longer there."""
    try:
        Path.cwd()
    except OSError as error:
        raise UserError("the folder that you are in is gone: go to another one, by cd") from error


def content(path: Path) -> bytes:
    """Read a file whole, as ``regular`` opens it; OSError also if it has more than a gigabyte."""
    with regular(path) as stream:
        if os.fstat(stream.fileno()).st_size > MOST:
            raise OSError(EFBIG, "it has more than a gigabyte", str(path))
        return stream.read()


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


@contextmanager
def writing(path: Path | str) -> Iterator[None]:
    """Tell in one line that a file or folder cannot be written, and why.

    Raises
    ------
    FaultError
        If a full disk or the like stands in the way.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        why = obstacle(error)
        if why is None:
            raise
        raise FaultError(f"{path} cannot be written: {why}") from error


@contextmanager
def replaced(path: Path, temporary: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path beside a file; what is written there takes the file's place.

    After an error the file stays as it was; FaultError where a full disk or the like is to blame.

    Parameters
    ----------
    path
        The file.
    temporary
        Where it is written first. By default the file's name with ``.tmp``, for files that one
        process at a time writes.
    """
    with writing(path), renamed(path, temporary or path.with_name(f"{path.name}.tmp")) as beside:
        yield beside


@contextmanager
def renamed(path: Path, temporary: Path) -> Iterator[Path]:
    """Yield a temporary path, whose file takes a file's place; after an error it is removed."""
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def write_text(path: Path, text: str) -> Path:
    """Replace a file by a text, whole."""
    with replaced(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def append(path: Path, text: str) -> None:
    """Add a text to a file: all of it, or, after an error, none."""
    size = path.stat().st_size if path.exists() else 0
    try:
        with path.open("a", encoding="utf-8") as stream:
            stream.write(text)
    except OSError:
        with suppress(OSError):
            os.truncate(path, size)
        raise


@contextmanager
def together(folder: Path) -> Iterator[Path]:
    """Yield a folder whose files all come into another one at the end, or none after an error."""
    place = folder / UNFINISHED
    with writing(folder):
        try:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            yield place
            for path in sorted(place.iterdir()):
                os.replace(path, folder / path.name)
        finally:
            shutil.rmtree(place, ignore_errors=True)


def try_folder(key: str, folder: Path) -> None:
    """Find out before long work whether a folder can be made and written; nothing is left there.

    Parameters
    ----------
    key
        The setting that names it.

    Raises
    ------
    UserError
        If it cannot be.
    """
    try:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        new = "".join(folder.relative_to(there).parts[:1])
        require(not new.startswith("~"), f"{key}={folder}: {new} is no home: write the whole path")
        require(
            not re.fullmatch("[A-Za-z][A-Za-z0-9+.-]+:", new),
            f"{key}={folder}: {new} begins an address: name a folder of this machine",
        )
        trial = there / f"{UNFINISHED}.{uuid4().hex}"
        try:
            trial.write_bytes(bytes(TRIAL))
        finally:
            trial.unlink(missing_ok=True)
    except OSError as error:
        why = obstacle(error) or f"{error.strerror}: use another folder"
        raise UserError(f"{key}={folder}: nothing can be written there: {why}") from error


class FreeNames:
    """Names of files made from texts: plain on every system, and each given once.

    Parameters
    ----------
    taken
        Names that are not given.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {name.lower() for name in taken}

    def take(self, text: str) -> str:
        """Return a text without all but letters, digits, _ and -, numbered where it is taken."""
        name = re.sub(r"\W+", "-", text, flags=re.ASCII).strip("-")[:LONGEST] or "unnamed"
        numbered = (f"{name}-{number}" for number in count(2))
        free = next(one for one in chain([name], numbered) if one.lower() not in self._taken)
        self._taken.add(free.lower())
        return free
