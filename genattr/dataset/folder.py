"""Any photos: a folder of them, or one file, with labels and boxes where there are some."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from genattr.dataset.imagenet_classes import class_index
from genattr.dataset.photo import Box, PhotoPreprocessing, read_photo
from genattr.errors import UserError, require
from genattr.types import Sample

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}


@dataclass(frozen=True, kw_only=True)
class Folder(PhotoPreprocessing):
    """Photos of one's own.

    Parameters
    ----------
    root
        A folder, searched through all its subfolders, or one photo.
    labels
        CSV file with the columns image and label, or None.
    boxes
        CSV file with the columns image, x0, y0, x1, y1 (native pixels, half-open), or COCO JSON,
        or None. COCO's categories are labels too where ``labels`` gives none.
    classes
        Text file with one class name a line; None: ImageNet's names and synset ids. A label in
        ``labels`` is an index or such a name.
    """

    root: str | None
    labels: str | None
    boxes: str | None
    classes: str | None

    @cached_property
    def paths(self) -> Mapping[str, Path]:
        """The photos by name: their path below the root, sorted."""
        require(self.root is not None, "dataset=folder needs dataset.root=/path/to/photos")
        root = Path(str(self.root)).expanduser()
        require(root.exists(), f"dataset.root={self.root}: no such file or folder")
        if root.is_file():
            return {root.name: root}
        found = sorted(
            path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()
        )
        kinds = ", ".join(sorted(SUFFIXES))
        require(len(found) > 0, f"dataset.root={self.root}: no photo in it ({kinds})")
        return {path.relative_to(root).as_posix(): path for path in found}

    @cached_property
    def ids(self) -> Sequence[str]:
        """Names of the photos."""
        return list(self.paths)

    def __len__(self) -> int:
        return len(self.ids)

    def load(self, index: int, size: int) -> Sample:
        """Decode one photo; BadPhotoError if it cannot be read."""
        name = self.ids[index]
        image = read_photo(self.paths[name])
        label = self._labels.get(name, self._coco_label(name))
        boxes = [box for box, category in self._boxes.get(name, []) if category in (None, label)]
        return self.sample(image, size, name, label, boxes)

    @cached_property
    def _class_names(self) -> Sequence[str] | None:
        if self.classes is None:
            return None
        return _file(self.classes, "classes").read_text(encoding="utf-8").splitlines()

    def _class_index(self, name: str) -> int:
        """Return the index of a class that is given as an index or by its name."""
        if name.strip().isdigit():
            return int(name)
        if self._class_names is None:
            return class_index(name)
        require(name in self._class_names, f"{self.classes} has no class {name}")
        return self._class_names.index(name)

    @cached_property
    def _labels(self) -> Mapping[str, int]:
        if self.labels is None:
            return {}
        rows = _read_csv(_file(self.labels, "labels"), ("image", "label"))
        self._check_names({row["image"] for row in rows}, self.labels)
        return {row["image"]: self._class_index(row["label"]) for row in rows}

    @cached_property
    def _boxes(self) -> Mapping[str, list[tuple[Box, int | None]]]:
        """Each photo's boxes, with the class where the file gives one."""
        if self.boxes is None:
            return {}
        file = _file(self.boxes, "boxes")
        boxes = self._coco_boxes(file) if file.suffix.lower() == ".json" else _csv_boxes(file)
        self._check_names(set(boxes), self.boxes)
        return boxes

    def _coco_boxes(self, file: Path) -> dict[str, list[tuple[Box, int | None]]]:
        try:
            coco: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            names = {image["id"]: image["file_name"] for image in coco["images"]}
            labels = {
                category["id"]: self._class_index(str(category["name"]))
                for category in coco.get("categories", [])
            }
            found: dict[str, list[tuple[Box, int | None]]] = {}
            for annotation in coco["annotations"]:
                x, y, width, height = annotation["bbox"]
                label = labels.get(annotation.get("category_id"))
                entry = ((x, y, x + width, y + height), label)
                found.setdefault(names[annotation["image_id"]], []).append(entry)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"dataset.boxes={file}: not COCO JSON ({error})") from error
        return found

    def _coco_label(self, name: str) -> int | None:
        """Return the class that all annotations of a photo agree on."""
        labels = {category for _, category in self._boxes.get(name, [])}
        return labels.pop() if len(labels) == 1 else None

    def _check_names(self, names: set[str], file: str) -> None:
        unknown = sorted(names - self.paths.keys())
        require(
            not unknown,
            f"{file} names {len(unknown)} photos that are not in {self.root}, such as "
            f"{', '.join(unknown[:3])}",
        )


def _file(path: str, key: str) -> Path:
    file = Path(path).expanduser()
    require(file.is_file(), f"dataset.{key}={path}: no such file")
    return file


def _read_csv(file: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        missing = [column for column in columns if column not in (reader.fieldnames or [])]
        require(not missing, f"{file} lacks the column {', '.join(missing)}")
        return list(reader)


def _csv_boxes(file: Path) -> dict[str, list[tuple[Box, int | None]]]:
    corners = ("x0", "y0", "x1", "y1")
    found: dict[str, list[tuple[Box, int | None]]] = {}
    for line, row in enumerate(_read_csv(file, ("image", *corners)), start=2):
        try:
            x0, y0, x1, y1 = (float(row[corner]) for corner in corners)
        except (TypeError, ValueError) as error:
            raise UserError(f"{file}, line {line}: a box needs four numbers") from error
        found.setdefault(row["image"], []).append(((x0, y0, x1, y1), None))
    return found
