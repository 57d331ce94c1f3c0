"""Files that are replaced whole, so that a reader sees all of one or nothing; their names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path

LONGEST = 90  # characters of a plain name


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
