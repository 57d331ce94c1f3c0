"""Files that are written aside and renamed: a reader sees the whole of a file or none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replaced(path: Path, temporary: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path beside a file; what is written there takes the file's place.

    After an error the file stays as it was.

    Parameters
    ----------
    path
        The file.
    temporary
        Where it is written first. By default the file's name with ``.tmp``, for files that one
        process at a time writes.
    """
    temporary = temporary or path.with_name(f"{path.name}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
