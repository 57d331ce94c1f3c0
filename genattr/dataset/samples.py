"""Six photos inside installed packages: something to explain without any download."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from genattr.dataset import imagenet_classes
from genattr.dataset.photo import PhotoPreprocessing, read_photo
from genattr.errors import UserError
from genattr.types import Sample

DESCRIPTIONS = Path(__file__).with_suffix(".yaml")


@dataclass(frozen=True, kw_only=True)
class Samples(PhotoPreprocessing):
    """Four whole photos and two crops, with ImageNet classes, boxes and credits."""

    @cached_property
    def entries(self) -> list[dict[str, Any]]:
        """The photos' descriptions: id, file, crop of some, class, boxes, credit, license."""
        text = DESCRIPTIONS.read_text(encoding="utf-8")
        entries: list[dict[str, Any]] = yaml.safe_load(text)
        return entries

    @property
    def ids(self) -> Sequence[str]:
        """Names of the photos."""
        return [entry["id"] for entry in self.entries]

    @property
    def photo_labels(self) -> Sequence[int | None]:
        """Class of each photo."""
        return [entry["label"] for entry in self.entries]

    @property
    def has_boxes(self) -> bool:
        """Whether any photo comes with boxes."""
        return any(entry["boxes"] for entry in self.entries)

    @property
    def n_classes(self) -> int:
        """ImageNet's."""
        return imagenet_classes.COUNT

    @property
    def class_names(self) -> Sequence[str]:
        """ImageNet's."""
        return imagenet_classes.class_names()

    @property
    def shared_files(self) -> Sequence[Path]:
        """The photos' descriptions."""
        return [DESCRIPTIONS]

    def files(self, index: int) -> Sequence[Path]:
        """Return the photo's file."""
        return [_installed(self.entries[index]["file"])]

    def __len__(self) -> int:
        return len(self.entries)

    def load(self, index: int, size: int) -> Sample:
        """Decode one photo; BadPhotoError if its package no longer ships it."""
        entry = self.entries[index]
        image = read_photo(_installed(entry["file"]))
        left, top, right, bottom = entry.get("crop", (0, 0, image.width, image.height))
        boxes = [(x0 - left, y0 - top, x1 - left, y1 - top) for x0, y0, x1, y1 in entry["boxes"]]
        cropped = image.crop((left, top, right, bottom))
        return self.sample(cropped, size, entry["id"], entry["label"], boxes)


def _installed(file: str) -> Path:
    """Find a file of an installed package without importing the package."""
    package, _, inside = file.partition("/")
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"dataset=samples needs the package {package}: pip install genattr again")
    return Path(spec.submodule_search_locations[0], inside)
