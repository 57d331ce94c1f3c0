"""Any photos: a folder of them, or one file, optionally with labels and boxes."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from genattr.dataset.annotations import csv_labels, read_lines
from genattr.dataset.box_files import Stated, read_boxes
from genattr.dataset.boxes import Annotated, Boxes, Format, Units
from genattr.dataset.formats import photos_in
from genattr.dataset.imagenet_classes import class_index
from genattr.dataset.photo import Box, PhotoPreprocessing, read_photo
from genattr.errors import abridged, require
from genattr.types import Sample

UNDECODED = re.compile("[\ud800-\udfff]")  # Python's surrogates for bytes that are not UTF-8


@dataclass(frozen=True, kw_only=True)
class Folder(PhotoPreprocessing):
    """The user's photos.

    Parameters
    ----------
    root
        A folder, searched through all its subfolders, or one photo.
    labels
        CSV file with the columns image and label, or None.
    boxes
        CSV file with the columns image, four numbers (native pixels of the upright photo,
        half-open) and optionally label, or COCO JSON, or a folder of YOLO's text files or Pascal
        VOC's XML, or None. Only boxes of the photo's own class, or of no class, count; if
        ``labels`` gives no class, it is the one that all its boxes have.
    box_format
        What the four numbers are: ``xyxy`` corners, ``xywh`` corner and size, ``cxcywh`` center and
        size; None: as the file's kind has it, CSV by the names of its columns.
    box_units
        ``pixels`` of the upright photo, or ``relative`` to its sides; None: relative for YOLO.
    classes
        Text file with one class name per line; None: ImageNet's names and synset ids. A label in
        ``labels`` is an index or such a name.
    """

    root: str | None
    labels: str | None
    boxes: str | None
    box_format: Format | None
    box_units: Units | None
    classes: str | None

    @cached_property
    def paths(self) -> Mapping[str, Path]:
        """The photos by name: their path below the root, sorted."""
        require(self.root is not None, "dataset=folder needs dataset.root=/path/to/photos")
        root = Path(str(self.root)).expanduser()
        require(root.exists(), f"dataset.root={self.root}: no such file or folder")
        if root.is_file():
            return _by_name([root], root.parent)
        found = photos_in(root)
        found.tell(f"dataset.root={self.root}")
        return _by_name(found.photos, root)

    @cached_property
    def ids(self) -> Sequence[str]:
        """Names of the photos."""
        return list(self.paths)

    @cached_property
    def photo_labels(self) -> Sequence[int | None]:
        """Class of each photo; UserError if a file of labels or boxes is wrong."""
        return [self._label_of(name) for name in self.ids]

    @cached_property
    def has_boxes(self) -> bool:
        """Whether any photo has boxes of its class; UserError as ``photo_labels``."""
        return any(self._boxes_of(name) for name in self.ids)

    @property
    def n_classes(self) -> int | None:
        """How many classes ``classes`` names; None without it."""
        return None if self._class_names is None else len(self._class_names)

    @property
    def shared_files(self) -> Sequence[Path]:
        """The files of labels, boxes and classes."""
        given = {"labels": self.labels, "boxes": self.boxes, "classes": self.classes}
        return [_file(path, key) for key, path in given.items() if path is not None]

    def files(self, index: int) -> Sequence[Path]:
        """Return the photo's file."""
        return [self.paths[self.ids[index]]]

    def __len__(self) -> int:
        return len(self.ids)

    def load(self, index: int, size: int) -> Sample:
        """Decode one photo; BadPhotoError if it cannot be read."""
        name = self.ids[index]
        image = read_photo(self.paths[name])
        boxes = self._annotated.placed(name, self._boxes_of(name), *image.size, self._where)
        return self.sample(image, size, name, self._label_of(name), boxes)

    def _label_of(self, name: str) -> int | None:
        """Return a photo's class from ``labels``, or else the class that all its boxes have."""
        agreed = {label for _, label in self._boxes.get(name, [])}
        return self._labels.get(name, agreed.pop() if len(agreed) == 1 else None)

    def _boxes_of(self, name: str) -> list[Box]:
        """Return a photo's boxes of its own class, or of no class."""
        categories = (None, self._label_of(name))
        return [box for box, category in self._boxes.get(name, []) if category in categories]

    @cached_property
    def _class_names(self) -> Sequence[str] | None:
        if self.classes is None:
            return None
        return [line.strip() for line in read_lines(_file(self.classes, "classes"))]

    def _class_index(self, text: str) -> int:
        """Return the index of a class that is given as an index or by its name."""
        name, classes = text.strip(), self._class_names
        if name.isdecimal():
            index = int(name)
            require(
                classes is None or index < len(classes),
                f"label {name}: {self.classes} has the classes 0..{len(classes or ()) - 1}",
            )
            return index
        if classes is None:
            return class_index(name)
        require(
            name in classes, f"label {name}: not in {self.classes}, which has {abridged(classes)}"
        )
        return classes.index(name)

    @cached_property
    def _labels(self) -> Mapping[str, int]:
        if self.labels is None:
            return {}
        labels = csv_labels(_file(self.labels, "labels"), self._class_index)
        self._check_names(labels, self.labels)
        return labels

    @property
    def _where(self) -> str:
        return f"dataset.boxes={self.boxes}"

    @property
    def _boxes(self) -> Boxes:
        return self._annotated.boxes

    @cached_property
    def _annotated(self) -> Annotated:
        if self.boxes is None:
            return Annotated({})
        path = Path(self.boxes).expanduser()
        require(path.exists(), f"{self._where}: no such file or folder")
        stated = Stated(self.box_format, self.box_units)
        annotated = read_boxes(path, self.paths.keys(), self._class_index, stated)
        self._check_names(annotated.boxes, self.boxes)
        annotated.check_units(self._where)
        return annotated

    def _check_names(self, names: Collection[str], file: str) -> None:
        unknown = sorted(set(names) - self.paths.keys())
        require(
            not unknown,
            f"{file} names {len(unknown)} photos that are not in {self.root}: {abridged(unknown)}; "
            f"names there are {abridged(self.ids)}",
        )


def _by_name(paths: Sequence[Path], root: Path) -> Mapping[str, Path]:
    """Name photos by their path below the root; UserError if a name cannot be written as text."""
    named = {path.relative_to(root).as_posix(): path for path in paths}
    wrong = [ascii(name) for name in named if UNDECODED.search(name)]
    names = abridged(wrong)
    require(
        not wrong, f"dataset.root: rename {len(wrong)} photos whose names are not in UTF-8: {names}"
    )
    return named


def _file(path: str, key: str) -> Path:
    file = Path(path).expanduser()
    require(file.is_file(), f"dataset.{key}={path}: no such file")
    return file
