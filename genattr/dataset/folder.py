"""Any photos: a folder of them, or one file, optionally with labels and boxes."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from PIL import Image

from genattr.dataset.annotations import csv_labels, line_of, read_lines
from genattr.dataset.box_files import Stated, files_in, read_boxes
from genattr.dataset.boxes import Annotated, Boxes, Format, Units
from genattr.dataset.formats import photos_in
from genattr.dataset.label_texts import Classes, LabelError, LabelsAre, Texts, classes_of
from genattr.dataset.photo import Box, PhotoPreprocessing, place_boxes, read_photo
from genattr.errors import UserError, abridged, require
from genattr.files import expanded
from genattr.types import Sample


@dataclass(frozen=True, kw_only=True)
class Folder(PhotoPreprocessing):
    """The user's photos.

    Parameters
    ----------
    root
        A folder, searched through all its subfolders, or one photo.
    labels
        CSV file with the columns image and label, or None. Several rows of a photo give it several
        labels, for networks whose classes have a probability of their own.
    labels_are
        What numbers among the labels are, ``names`` or ``indices``, where ``classes`` has names
        that are numbers; None: they are indices, and refused where they might be both.
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
        Text file with one class name per line; None: numbers are the classifier's own indices, and
        names are ImageNet's, or else the classifier's own. See ``label_texts.classes_of``.
    """

    root: str | None
    labels: str | None
    boxes: str | None
    classes: str | None
    labels_are: LabelsAre | None = None
    box_format: Format | None = None
    box_units: Units | None = None

    @cached_property
    def paths(self) -> Mapping[str, Path]:
        """The photos by name: their path below the root, sorted."""
        require(self.root is not None, "dataset=folder needs dataset.root=/path/to/photos")
        root = expanded(str(self.root))
        require(os.path.exists(root), f"dataset.root={self.root}: no such file or folder")
        if not root.is_dir():
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
        """First class of each photo; UserError if a file of labels or boxes is wrong."""
        return [labels[0] if labels else None for labels in self.label_sets]

    @cached_property
    def label_sets(self) -> Sequence[Sequence[int]]:
        """All classes of each photo; UserError as ``photo_labels``."""
        return [self._labels_of(name) for name in self.ids]

    @cached_property
    def has_boxes(self) -> bool:
        """Whether any photo has boxes of its class; UserError as ``photo_labels``."""
        return any(
            self._boxes_of(name, label)
            for name, labels in zip(self.ids, self.label_sets, strict=True)
            for label in labels or (None,)
        )

    @property
    def n_classes(self) -> int | None:
        """How many classes ``classes`` names; None without it."""
        return None if self._listed is None else len(self._listed)

    @property
    def class_names(self) -> Sequence[str] | None:
        """Names of the classes: ``classes``, ImageNet's, or those that the labels name."""
        return self._classes.names

    @property
    def may_mean_names(self) -> bool:
        """Whether numbers among the labels are taken for indices without being told."""
        return self.class_names is None and self.labels_are is None and bool(self._texts.numbers)

    @property
    def indexes_outputs(self) -> bool:
        """Whether an index is a place among a network's outputs."""
        return self._classes.indexes_outputs

    @property
    def shared_files(self) -> Sequence[Path]:
        """The files of labels, boxes and classes."""
        given = [path for path in (self.labels, self.boxes, self.classes) if path is not None]
        return [file for path in given for file in files_in(expanded(path))]

    def files(self, index: int) -> Sequence[Path]:
        """Return the photo's file."""
        return [self.paths[self.ids[index]]]

    def __len__(self) -> int:
        return len(self.ids)

    def load(self, index: int, size: int) -> Sample:
        """Decode one photo; BadPhotoError if it cannot be read."""
        name = self.ids[index]
        image = read_photo(self.paths[name])
        first, *others = self.label_sets[index] or (None,)
        sample = self.sample(image, size, name, first, self._boxes_in(name, first, image))
        assert sample.region is not None
        twins = [
            replace(sample, label=label, boxes=place_boxes(boxes, sample.region, size))
            for label in others
            for boxes in [self._boxes_in(name, label, image)]
        ]
        return replace(sample, others=tuple(twins))

    def _labels_of(self, name: str) -> Sequence[int]:
        """Return a photo's classes from ``labels``, or else the class that all its boxes have."""
        if name in self._labels_read:
            return list(dict.fromkeys(self._class_of[number] for number in self._labels_read[name]))
        agreed = {label for _, label in self._boxes.get(name, [])}
        return [label for label in agreed if label is not None] if len(agreed) == 1 else []

    def _boxes_in(self, name: str, label: int | None, image: Image.Image) -> list[Box]:
        """Return a photo's boxes of a class, or of no class, in its pixels."""
        boxes = self._boxes_of(name, label)
        return self._annotated.placed(name, boxes, *image.size, self._where)

    def _boxes_of(self, name: str, label: int | None) -> list[Box]:
        return [box for box, category in self._boxes.get(name, []) if category in (None, label)]

    @cached_property
    def _listed(self) -> Sequence[str] | None:
        if self.classes is None:
            return None
        return [line.strip() for line in read_lines(_file(self.classes, "classes"))]

    @cached_property
    def _texts(self) -> Texts:
        return Texts()

    @cached_property
    def _classes(self) -> Classes:
        """What the labels mean, those of boxes included."""
        _ = self._labels_read, self._annotated  # they number their texts
        texts = list(self._texts.numbers)
        try:
            return classes_of(texts, self._listed, self.classes, self.labels_are)
        except LabelError as error:
            raise UserError(f"{self._first_row_of(error.label)}{error}") from error

    def _first_row_of(self, label: str) -> str:
        """Begin a message with the file and the line that a label is first found in."""
        for path in filter(None, (self.labels, self.boxes)):
            line = line_of(label, expanded(path))
            if line is not None:
                return f"{path}, line {line}: "
        return ""

    @cached_property
    def _class_of(self) -> Sequence[int]:
        """Class index of each text, by its number."""
        index_of = self._classes.index_of  # reads all texts first
        return [index_of[text] for text in self._texts.numbers]

    @cached_property
    def _labels_read(self) -> Mapping[str, Sequence[int]]:
        """Numbers of each photo's labels, as texts."""
        if self.labels is None:
            return {}
        labels = csv_labels(_file(self.labels, "labels"), self._texts.number)
        self._check_names(labels, self.labels)
        return labels

    @property
    def _where(self) -> str:
        return f"dataset.boxes={self.boxes}"

    @cached_property
    def _boxes(self) -> Boxes:
        return {
            name: [
                (box, None if number is None else self._class_of[number]) for box, number in boxes
            ]
            for name, boxes in self._annotated.boxes.items()
        }

    @cached_property
    def _annotated(self) -> Annotated:
        if self.boxes is None:
            return Annotated({})
        path = expanded(self.boxes)
        require(os.path.exists(path), f"{self._where}: no such file or folder")
        stated = Stated(self.box_format, self.box_units)
        annotated = read_boxes(path, self.paths.keys(), self._texts.number, stated)
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
    r"""Name photos by their path below the root; bytes that are not UTF-8 become ``\xe9``."""
    named = {_name(path.relative_to(root)): path for path in paths}
    twice = {_name(path.relative_to(root)) for path in set(paths) - set(named.values())}
    names = abridged(sorted(twice))
    require(not twice, f"dataset.root: several photos have one name, written as text: {names}")
    return named


def _name(path: Path) -> str:
    return os.fsencode(path.as_posix()).decode("utf-8", errors="backslashreplace")


def _file(path: str, key: str) -> Path:
    file = expanded(path)
    require(os.path.isfile(file), f"dataset.{key}={path}: no such file")
    return file
