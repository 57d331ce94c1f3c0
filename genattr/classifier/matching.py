"""Classes of two sides, such as a dataset and a classifier, matched by their names."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from genattr.dataset import imagenet_classes
from genattr.dataset.label_texts import plain
from genattr.errors import abridged, require

SYNSET = re.compile(r"n\d{8}")


def are_numbered(names: Sequence[str]) -> bool:
    """Whether names say nothing but the index: "class 0", "class 1", ..."""
    return all(name == f"class {index}" for index, name in enumerate(names))


def match(names: Sequence[str], others: Sequence[str]) -> Mapping[int, int]:
    """Return the index in ``others`` of each name that stands there once.

    Case, spaces and underscores do not matter. Where no whole name matches, "tinca" is found in
    "Tench, Tinca", and "tench, Tinca" matches another list of names that begins with "tench".
    ImageNet's synset ids match its names. Equal lists match by position.
    """
    if list(names) == list(others):
        return {index: index for index in range(len(names))}
    whole, parts, firsts = (_places(others, keys) for keys in (_whole, _parts, _first))
    found = {}
    for index, name in enumerate(names):
        is_alone = len(_parts(name)) == 1
        hits = whole.get(_whole(name)[0]) or (parts if is_alone else firsts).get(_first(name)[0])
        if hits and len(hits) == 1:
            (found[index],) = hits
    claims = Counter(found.values())
    return {index: place for index, place in found.items() if claims[place] == 1}


def named(text: str, names: Sequence[str]) -> int:
    """Find a class by its name or index.

    Raises
    ------
    UserError
        If there is none or more than one, or a number is a name and the index of another class.
    """
    hits = _places(names, _whole).get(_whole(text)[0]) or set()
    hits = hits or _places(names, _parts).get(_whole(text)[0]) or set()
    if text.strip().isdecimal() and int(text) < len(names):
        hits = hits | {int(text)}
    require(len(hits) > 0, f"no class is called {text}; there is {abridged(names)}")
    places = " and ".join(map(str, sorted(hits)))
    require(len(hits) == 1, f"{text} may be class {places}: give another name of it, or its index")
    (place,) = hits
    return place


def _places(names: Sequence[str], keys_of: Callable[[str], list[str]]) -> Mapping[str, set[int]]:
    places: dict[str, set[int]] = defaultdict(set)
    for index, name in enumerate(names):
        for key in keys_of(name):
            places[key].add(index)
    return places


def _whole(name: str) -> list[str]:
    """Return the one key of a whole name."""
    text = name.strip()
    if SYNSET.fullmatch(text) and text in imagenet_classes.synsets():
        text = imagenet_classes.class_names()[imagenet_classes.synsets().index(text)]
    return [plain(text)]


def _first(name: str) -> list[str]:
    """Return the key of the first name between commas."""
    return _parts(name)[:1]


def _parts(name: str) -> list[str]:
    """Return the keys of the names between commas."""
    return [part.strip() for part in _whole(name)[0].split(",")]
