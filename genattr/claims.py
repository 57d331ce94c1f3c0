"""Folders that one process at a time writes to: each holds a claim, which ends with its process.

A claim is a file with the name of a process. It is linked into its place whole, so that of several
processes, on any number of machines, one gets it, and no lock is needed. While the process works,
the file's time moves. The claim of a process that has ended is passed over by one with the next
number, never replaced: whoever has the highest number has the folder.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, count
from pathlib import Path
from threading import Thread
from uuid import uuid4

from genattr.errors import UserError

NAME = ".claim-{}"
BEAT = 10.0  # seconds between two signs of life
SILENCE = 60.0  # seconds without one, after which a process of another machine has ended
_held: list[Claim] = []
_beating: list[Thread] = []


class Claim:
    """A folder that this process has for itself.

    Attributes
    ----------
    file
        The claim; those with lower numbers are of processes that have ended.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        _held.append(self)
        if not _beating:
            _beating.append(Thread(target=_beat, name="claims", daemon=True))
            _beating[0].start()

    def release(self) -> None:
        """Give the folder back; doing so twice does no harm."""
        if self not in _held:
            return
        _held.remove(self)
        number = int(self.file.name.rpartition("-")[2])
        for lower in range(1, number + 1):
            with suppress(OSError):
                _numbered(self.file.parent, lower).unlink(missing_ok=True)


def take(folder: Path, instead: str) -> Claim:
    """Claim a folder, which is made if need be.

    A process of another machine whose claim has not moved for a minute counts as ended; so long
    this waits.

    Parameters
    ----------
    instead
        What whoever is refused may do, such as "give another sweep_id".

    Raises
    ------
    UserError
        If another process has it, or nothing can be written there.
    """
    from genattr import environment

    own = folder / NAME.format(f"{uuid4().hex}.tmp")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _clear(folder)
        own.write_text(environment.process(), encoding="utf-8")
        return Claim(_placed(own, folder, instead))
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}: {instead}") from error
    finally:
        with suppress(OSError):
            own.unlink(missing_ok=True)


def _clear(folder: Path) -> None:
    """Remove what processes of this machine left that were killed while they claimed a folder."""
    for path in folder.glob(NAME.format("*.tmp")):
        with suppress(OSError):
            if _has_ended(_text(path)):
                path.unlink()


@contextmanager
def held(folder: Path, instead: str) -> Iterator[None]:
    """Have a folder for a while; UserError as ``take`` raises it."""
    claim = take(folder, instead)
    try:
        yield
    finally:
        claim.release()


def release_all() -> None:
    """Give back all folders that this process has."""
    for claim in [*_held]:
        claim.release()


def new_folder(path: Path) -> Path:
    """Make a folder that was not there, and return it: the path, or with a number behind it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    others = (path.with_name(f"{path.name}_{number}") for number in count(2))
    return next(one for one in chain([path], others) if _is_new(one))


def _is_new(folder: Path) -> bool:
    """Make a folder; return whether it was not there."""
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


def _placed(own: Path, folder: Path, instead: str) -> Path:
    """Link a claim to the first number that is free, behind those that are to be passed over."""
    while True:
        passed: list[str] = []
        with suppress(FileNotFoundError):  # one that was given back meanwhile
            while not _linked(own, place := _numbered(folder, len(passed) + 1)):
                passed.append(_pass_over(place, own, instead))
            if _are_as_seen(folder, passed):
                return place
            place.unlink()


def _are_as_seen(folder: Path, passed: Sequence[str]) -> bool:
    """Whether the claims that were passed over still stand, so that nobody began anew below."""
    try:
        found = [_text(_numbered(folder, number)) for number in range(1, len(passed) + 1)]
    except FileNotFoundError:
        return False
    return found == passed


def _numbered(folder: Path, number: int) -> Path:
    return folder / NAME.format(number)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _linked(own: Path, place: Path) -> bool:
    """Whether a claim has come to its place; a file system without links gets a file of its own."""
    try:
        os.link(own, place)
    except FileExistsError:
        return own.stat().st_nlink > 1  # a network file system may have tried twice
    except OSError:
        return _written(place, _text(own))
    return True


def _written(place: Path, text: str) -> bool:
    try:
        with place.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        return False
    return True


def _pass_over(place: Path, own: Path, instead: str) -> str:
    """Return a claim's text if its process has ended; UserError if it works."""
    from genattr import environment

    holder = _text(place)
    host, _, rest = holder.partition(" ")
    is_here = host == environment.host()
    if _has_ended(holder) or (not is_here and _is_silent(place, own)):
        return holder
    raise UserError(
        f"{place.parent} is in use by process {rest.partition(' ')[0]} of {host}: wait for its "
        f"end, or {instead}"
    )


def _has_ended(holder: str) -> bool:
    """Whether this machine knows that a process has ended; half a name is of nobody known."""
    from genattr import environment

    try:
        return environment.has_ended(holder)
    except ValueError:
        return False


def _is_silent(place: Path, own: Path) -> bool:
    """Watch a claim of another machine: whether it rests, by the clock of the file system."""
    seen = _time(place)
    while True:
        os.utime(own)
        if _time(own) - seen > SILENCE:
            return True
        time.sleep(min(1.0, SILENCE))
        if _time(place) != seen:
            return False


def _time(path: Path) -> float:
    """Return a file's time as it is now: opening it has a network file system look again."""
    with path.open("rb") as opened:
        return os.fstat(opened.fileno()).st_mtime


def _beat() -> None:
    """Show that this process works."""
    while True:
        time.sleep(BEAT)
        for claim in [*_held]:
            with suppress(OSError):  # a folder that somebody removed
                os.utime(claim.file)
