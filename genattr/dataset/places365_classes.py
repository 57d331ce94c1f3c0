"""Names of the Places365 classes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from genattr.dataset.annotations import read_lines
from genattr.errors import require

PACKAGED = Path(__file__).with_name("places365_categories.txt")


@cache
def class_names() -> Sequence[str]:
    """Return the name of each class, by index: "airfield", "airplane cabin", ..."""
    return tuple(readable(category) for category in categories())


@cache
def categories() -> Sequence[str]:
    """Return the path of each class, by index: "/a/airfield", "/a/airplane_cabin", ..."""
    return tuple(read_categories(PACKAGED))


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
    rows = [line.split() for line in read_lines(file, "replace") if line.strip()]
    for index, row in enumerate(rows):
        fits = len(row) == 2 and row[0].count("/") >= 2 and row[1] == str(index)
        require(fits, f"{file}, class {index}: '{' '.join(row)}' is not like '/a/airfield {index}'")
    require(len(rows) > 0, f"{file}: no class in it")
    return [category for category, _ in rows]
