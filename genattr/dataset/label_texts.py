"""Labels as people write them, names or indices, and the classes that they mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from genattr.dataset import imagenet_classes
from genattr.dataset.annotations import is_index
from genattr.errors import UserError, abridged

LabelsAre = Literal["names", "indices"]


class LabelError(UserError):
    """A label that means no class, or more than one.

    Parameters
    ----------
    label
        Its text.
    problem
        What is wrong with it.
    """

    def __init__(self, label: str, problem: str) -> None:
        super().__init__(f"label {label}: {problem}")
        self.label = label


@dataclass(frozen=True)
class Texts:
    """Labels as they are read, numbered in the order in which they are first met."""

    numbers: dict[str, int] = field(default_factory=dict)

    def number(self, text: str) -> int:
        """Return the number of a text, without spaces around it."""
        return self.numbers.setdefault(text.strip(), len(self.numbers))


@dataclass(frozen=True)
class Classes:
    """The classes that a dataset's labels mean.

    Attributes
    ----------
    index_of
        Class index of each text.
    names
        Names of the classes, by index; None: the indices are the classifier's own.
    indexes_outputs
        An index is a place among a network's outputs, also without names.
    """

    index_of: Mapping[str, int]
    names: Sequence[str] | None
    indexes_outputs: bool = True


def classes_of(
    texts: Sequence[str],
    listed: Sequence[str] | None,
    source: str | None,
    labels_are: LabelsAre | None,
) -> Classes:
    """Find out which classes texts mean.

    With a list of names, texts are names or indices in it. Without one, they are indices if all are
    numbers, else ImageNet's names, synset ids and indices if it knows all of them, else names that
    the classifier has to know.

    Parameters
    ----------
    texts
        All labels of the dataset, without spaces around them.
    listed
        Names of the classes; None: there is no list.
    source
        The file of the list, for messages.
    labels_are
        What numbers are where they might be both; None: UserError there.

    Raises
    ------
    LabelError
        If a text means no class, or more than one.
    """
    if listed is not None:
        place_of = _Places(listed, str(source), labels_are)
        return Classes({text: place_of(text) for text in texts}, listed)
    if labels_are != "names" and all(is_index(text) for text in texts):
        return Classes({text: int(text) for text in texts}, None)
    if labels_are != "names" and all(map(_is_imagenets, texts)):
        return Classes({text: _imagenets(text) for text in texts}, imagenet_classes.class_names())
    names = sorted(set(texts))
    return Classes({name: index for index, name in enumerate(names)}, names, indexes_outputs=False)


def plain(name: str) -> str:
    """Return a name without what does not distinguish it: case, spaces around it, underscores."""
    return " ".join(name.replace("_", " ").split()).casefold()


class _Places:
    """Finds the class that a text means in a list of names: the place of its name, or the index."""

    def __init__(self, names: Sequence[str], source: str, labels_are: LabelsAre | None) -> None:
        self._source, self._labels_are = source, labels_are
        self._count, self._first = len(names), abridged(names)
        self._has_numbers = any(is_index(name) for name in names)
        self._exact, self._plain = _by_text(names), _by_text([plain(name) for name in names])

    def __call__(self, text: str) -> int:
        as_name = self._named(text)
        as_index = int(text) if is_index(text) and int(text) < self._count else None
        unlisted = f"not in {self._source}, which has {self._first}"
        if not is_index(text) or self._labels_are == "names":
            return _there(as_name, text, unlisted)
        if self._labels_are == "indices" or not self._has_numbers:
            return _there(as_index, text, f"{self._source} has the classes 0..{self._count - 1}")
        if as_name != as_index:
            raise LabelError(
                text,
                f"in {self._source}, numbers are names too, and others than the indices: say "
                "which they are by dataset.labels_are=names or dataset.labels_are=indices",
            )
        return _there(as_name, text, unlisted)

    def _named(self, text: str) -> int | None:
        """Return the place of a name; LabelError if it stands there twice."""
        places = self._exact.get(text) or self._plain.get(plain(text)) or []
        if len(places) > 1:
            found = " and ".join(map(str, places))
            raise LabelError(text, f"it may be class {found}: give the index")
        return places[0] if places else None


def _by_text(names: Sequence[str]) -> Mapping[str, Sequence[int]]:
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name, []).append(place)
    return places


def _there(index: int | None, text: str, problem: str) -> int:
    if index is None:
        raise LabelError(text, problem)
    return index


def _is_imagenets(text: str) -> bool:
    try:
        return _imagenets(text) < imagenet_classes.COUNT
    except UserError:
        return False


def _imagenets(text: str) -> int:
    """Return the index of an ImageNet class, given as such or by a name."""
    return int(text) if is_index(text) else imagenet_classes.class_index(text)
