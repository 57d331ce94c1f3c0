"""Names and synset ids of the ImageNet-1k classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from genattr.errors import UserError

COUNT = 1000
PACKAGED = Path(__file__).with_name("imagenet_categories.txt")


@cache
def class_names() -> Sequence[str]:
    """Return the first name of each class, by index: "tench", "goldfish", ..."""
    return tuple(names[0] for names in _all_names())


@cache
def synsets() -> Sequence[str]:
    """Return the WordNet id of each class, by index: "n01440764", ..."""
    return tuple(synset for synset, _ in _lines())


def class_index(name: str) -> int:
    """Find a class by any of its names, or by its synset id.

    Raises
    ------
    UserError
        If there is none, or more than one (as for "crane").
    """
    indices = _index().get(name.strip().lower(), [])
    if len(indices) == 1:
        return indices[0]
    why = f"classes {indices} of ImageNet: give the index"
    if not indices:
        why = "no class of ImageNet: give its index or synset id, or set dataset.classes"
    raise UserError(f"label {name}: {why}")


@cache
def _all_names() -> Sequence[Sequence[str]]:
    return tuple(tuple(names.split(", ")) for _, names in _lines())


@cache
def _lines() -> Sequence[Sequence[str]]:
    """Read the synset id and the names of each class."""
    lines = PACKAGED.read_text(encoding="utf-8").splitlines()
    return tuple(tuple(line.split("\t")) for line in lines)


@cache
def _index() -> Mapping[str, list[int]]:
    index: dict[str, list[int]] = {}
    for position, names in enumerate(_all_names()):
        for name in (*names, synsets()[position]):
            index.setdefault(name.lower(), []).append(position)
    return index
