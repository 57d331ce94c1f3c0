"""Names of the classes that a classifier knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import overload

from genattr.dataset import imagenet_classes, places365_classes
from genattr.errors import abridged, require
from genattr.files import expanded

PACKAGED = {"imagenet": imagenet_classes.class_names, "places365": places365_classes.class_names}
BY_COUNT = {1000: "imagenet", 365: "places365"}


@dataclass(frozen=True)
class ClassNames(Sequence[str]):
    """Names by index; the number of classes is computed when the first name is needed.

    Parameters
    ----------
    choice
        ``imagenet``, ``places365``, a text file with one name per line, or the names themselves.
        None: ImageNet's if there are 1000 classes, Places365's if there are 365, else numbered.
    how_many
        Returns the number of classes.
    """

    choice: str | Sequence[str | int] | None
    how_many: Callable[[], int]

    def __post_init__(self) -> None:
        require(
            not isinstance(self.choice, str) or self.choice in PACKAGED or self._file.is_file(),
            f"classifier.labels={self.choice}: no such file; it may be {', '.join(PACKAGED)}, a "
            "text file with one class name a line, the names in brackets, such as "
            "classifier.labels=[cat,dog], or null",
        )

    @property
    def _file(self) -> Path:
        return expanded(str(self.choice))

    @cached_property
    def _names(self) -> Sequence[str]:
        count = self.how_many()
        choice = BY_COUNT.get(count) if self.choice is None else self.choice
        if choice is None:
            return [f"class {index}" for index in range(count)]
        names = self._read(choice)
        told = choice if isinstance(choice, str) else f"[{abridged(names)}]"
        require(
            len(names) == count,
            f"classifier.labels={told}: {len(names)} names, and the classifier has {count} classes",
        )
        return names

    def _read(self, choice: str | Sequence[str | int]) -> Sequence[str]:
        if not isinstance(choice, str):
            return [str(name) for name in choice]
        return PACKAGED[choice]() if choice in PACKAGED else _lines(self._file)

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...

    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self._names[index]


def _lines(file: Path) -> Sequence[str]:
    """Read one name per line; empty lines at the end do not count."""
    text = file.read_text(encoding="utf-8-sig", errors="replace")
    return [line.strip() for line in text.rstrip().splitlines()]
