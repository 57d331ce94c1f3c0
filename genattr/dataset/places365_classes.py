"""Names of the Places365 classes."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from genattr.errors import UserError, require

PACKAGED = Path(__file__).with_name("places365_categories.txt")


@cache
def class_names() -> Sequence[str]:
    """Return the name of each class, by index: "airfield", "airplane cabin", ..."""
    return tuple(readable(category) for category in categories())


@cache
def categories() -> Sequence[str]:
    """Return the path of each class, by index: "/a/airfield", "/a/airplane_cabin", ..."""
    return tuple(read_categories(PACKAGED))


def class_index(name: str) -> int:
    """Find a class by its name ("bus station, indoor") or path ("/b/bus_station/indoor").

    Raises
    ------
    UserError
        If there is none.
    """
    wanted = name.strip().lower()
    for known in (class_names(), categories()):
        if wanted in known:
            return known.index(wanted)
    close = get_close_matches(wanted, class_names(), n=3)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    raise UserError(f"label {name}: no class of Places365{hint}")


def readable(category: str) -> str:
    """Turn "/b/bus_station/indoor" into "bus station, indoor"."""
    _, _, *words = category.split("/")
    return ", ".join(words).replace("_", " ")


def read_categories(file: Path) -> list[str]:
    """Read the paths of the classes from lines such as "/a/airfield 0", in the order of indices.

    Raises
    ------
    UserError
        If it is no such list.
    """
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    rows = [line.split() for line in lines if line.strip()]
    for index, row in enumerate(rows):
        fits = len(row) == 2 and row[0].count("/") >= 2 and row[1] == str(index)
        require(fits, f"{file}, class {index}: '{' '.join(row)}' is not like '/a/airfield {index}'")
    require(len(rows) > 0, f"{file}: no class in it")
    return [category for category, _ in rows]
