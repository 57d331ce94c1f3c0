"""A folder that several machines and people share: faults that pass, and whom its files are for.

Network file systems tell of a file that another machine has just replaced that its handle is stale,
and of a rename that was sent twice that there is no such file. Nothing here needs a lock.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Container
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from genattr.files import renamed

T = TypeVar("T")
READING = frozenset(
    {errno.ESTALE, errno.EIO, errno.EAGAIN, errno.EINTR, errno.ETIMEDOUT, errno.EBUSY}
)
WRITING = READING | {errno.ENOENT}
WAITS = (0.0, 0.1, 1.0)  # seconds before what failed is tried again


def patiently(work: Callable[[], T], passing: Container[int | None]) -> T:
    """Do some work, and again after errors that pass.

    Parameters
    ----------
    passing
        Numbers of the errors that are waited for.

    Raises
    ------
    OSError
        If it is another one, or does not pass.
    """
    for wait in WAITS:
        try:
            return work()
        except OSError as error:
            if error.errno not in passing:
                raise
        time.sleep(wait)
    return work()


def write(root: Path, path: Path, content: Callable[[Path], object]) -> None:
    """Write a file of a store whole, whoever else writes the same one at the same time.

    Where the store is for writing by its group, the file is for reading by it, and the folder for
    writing, whatever the user's umask.

    Parameters
    ----------
    root
        The store's folder; made when needed.
    path
        The file, in a folder of the store.
    content
        Writes the content to a path, perhaps several times.

    Raises
    ------
    OSError
        If that cannot be done.
    """
    patiently(lambda: _write(root, path, content), WRITING)


def _write(root: Path, path: Path, content: Callable[[Path], object]) -> None:
    is_new = _made(path.parent)
    is_of_group = bool(root.stat().st_mode & stat.S_IWGRP)
    if is_new and is_of_group:
        _allow(path.parent, stat.S_IRWXG)
    key = path.name.partition(".")[0]
    with renamed(path, path.with_name(f"{key}.{uuid4().hex}.tmp")) as temporary:
        content(temporary)
        if is_of_group:
            _allow(temporary, stat.S_IRGRP)


def _made(folder: Path) -> bool:
    """Make a folder, and say whether it is new."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return False
    return True


def _allow(path: Path, more: int) -> None:
    os.chmod(path, stat.S_IMODE(path.stat().st_mode) | more)


def clock(root: Path) -> float:
    """Return the seconds since the epoch by the clock of the file system, which dates its files.

    It is that of this machine where nothing can be written.
    """
    probe = root / f".{uuid4().hex}.tmp"
    try:
        probe.touch()
        try:
            return probe.stat().st_mtime
        finally:
            probe.unlink()
    except OSError:
        return time.time()
