"""Places365 validation photos, small or large."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from genattr.dataset.annotations import is_index, read_lines
from genattr.dataset.photo import PhotoPreprocessing, read_photo
from genattr.dataset.places365_classes import PACKAGED, read_categories, readable
from genattr.errors import UserError, abridged, require
from genattr.files import expanded
from genattr.types import Sample

FOLDERS = ("val_256", "val_large")
LIST, CATEGORIES = "places365_val.txt", "categories_places365.txt"


@dataclass(frozen=True, kw_only=True)
class Places365(PhotoPreprocessing):
    """The validation set, or any part of it, with labels and without boxes.

    Parameters
    ----------
    root
        Folder with ``places365_val.txt``, photos, and perhaps ``categories_places365.txt``.
    folder
        Folder of the photos in ``root``; None: ``val_256``, or else ``val_large``.
    """

    root: str | None
    folder: str | None

    @cached_property
    def ids(self) -> Sequence[str]:
        """Names of the photos that are there, sorted."""
        return [Path(file).stem for file in self._files]

    @cached_property
    def photo_labels(self) -> Sequence[int | None]:
        """Class of each photo."""
        return [self._labels[file] for file in self._files]

    @property
    def has_boxes(self) -> bool:
        """Say that there are none."""
        return False

    @property
    def n_classes(self) -> int:
        """How many categories are listed."""
        return len(self.class_names)

    @cached_property
    def class_names(self) -> Sequence[str]:
        """Name of each category."""
        return [readable(category) for category in read_categories(self._categories)]

    @property
    def _categories(self) -> Path:
        categories = self._root / CATEGORIES
        return categories if categories.is_file() else PACKAGED

    @property
    def shared_files(self) -> Sequence[Path]:
        """The lists of photos and of categories."""
        return [self._root / LIST, self._categories]

    def files(self, index: int) -> Sequence[Path]:
        """Return the photo's file."""
        return [self._folder / self._files[index]]

    def __len__(self) -> int:
        return len(self._files)

    def load(self, index: int, size: int) -> Sample:
        """Decode one photo; BadPhotoError if it cannot be read."""
        image = read_photo(self._folder / self._files[index])
        return self.sample(image, size, self.ids[index], self.photo_labels[index], None)

    @cached_property
    def _root(self) -> Path:
        require(self.root is not None, "dataset=places365 needs dataset.root=/path/to/places365")
        root = expanded(str(self.root))
        require(root.is_dir(), f"dataset.root={self.root}: no such folder")
        require((root / LIST).is_file(), f"dataset.root={self.root}: no {LIST} in it")
        return root

    @cached_property
    def _folder(self) -> Path:
        tried = FOLDERS if self.folder is None else (self.folder,)
        folders = [self._root / name for name in tried if (self._root / name).is_dir()]
        require(
            len(folders) > 0,
            f"dataset.root={self.root}: no folder {' or '.join(tried)} in it; "
            "dataset.folder can name another",
        )
        return folders[0]

    @cached_property
    def _files(self) -> Sequence[str]:
        """File names of the photos that are there; UserError if the list lacks one."""
        with os.scandir(self._folder) as entries:
            photos = {entry.name: entry for entry in entries if _is_photo(entry)}
        unlisted = sorted(photos.keys() - self._labels.keys())
        require(
            not unlisted,
            f"{self._root / LIST} lacks {len(unlisted)} photos that are in {self._folder}: "
            f"{abridged(unlisted)}",
        )
        require(len(photos) > 0, f"{self._folder}: no *.jpg in it")
        for entry in photos.values():
            require(
                not entry.is_symlink() or self._holds(entry.path),
                f"{entry.path} is a link that leads out of its folder: put the photo itself there",
            )
        return sorted(photos)

    def _holds(self, path: str) -> bool:
        return Path(path).resolve().is_relative_to(self._folder.resolve())

    @cached_property
    def _labels(self) -> Mapping[str, int]:
        """Class of each listed photo, also of those that are absent."""
        return read_list(self._root / LIST, self.n_classes)


def _is_photo(entry: os.DirEntry[str]) -> bool:
    return entry.name.lower().endswith((".jpg", ".jpeg")) and not entry.name.startswith(".")


def read_list(file: Path, count: int) -> dict[str, int]:
    """Read class indices below ``count`` from lines such as "Places365_val_00000001.jpg 165".

    Raises
    ------
    UserError
        If a line is not like that, or a name leads to another folder or is listed twice.
    """
    labels: dict[str, int] = {}
    for number, line in enumerate(read_lines(file, "replace"), start=1):
        if line.strip():
            name, label = _parsed(line, f"{file}, line {number}", count)
            agreed = labels.setdefault(name, label) == label
            require(agreed, f"{file}, line {number}: a second class for {name}")
    return labels


def _parsed(line: str, where: str, count: int) -> tuple[str, int]:
    words = line.split()
    if len(words) != 2 or not is_index(words[1]):
        raise UserError(f"{where}: '{line.strip()}' is not like 'Places365_val_00000001.jpg 165'")
    name, label = words[0], int(words[1])
    require(Path(name).name == name, f"{where}: {name} must be a file's name, without folders")
    require(label < count, f"{where}: class {label}, and there are 0..{count - 1}")
    return name, label
