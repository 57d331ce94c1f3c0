"""ImageNet validation photos in the Kaggle tree (CLS-LOC)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from xml.etree import ElementTree

from genattr.dataset.annotations import read_csv
from genattr.dataset.photo import Box, PhotoPreprocessing, read_photo
from genattr.errors import BadPhotoError, require
from genattr.types import Sample

PHOTOS = Path("ILSVRC/Data/CLS-LOC/val")
ANNOTATIONS = Path("ILSVRC/Annotations/CLS-LOC/val")
SYNSETS, SOLUTION = "LOC_synset_mapping.txt", "LOC_val_solution.csv"


@dataclass(frozen=True, kw_only=True)
class ImageNet(PhotoPreprocessing):
    """The validation set, or any part of it, with labels and boxes.

    Parameters
    ----------
    root
        Folder with ``ILSVRC/``, ``LOC_synset_mapping.txt`` and ``LOC_val_solution.csv``.
    """

    root: str | None

    @cached_property
    def _folder(self) -> Path:
        require(self.root is not None, "dataset=imagenet needs dataset.root=/path/to/imagenet")
        folder = Path(str(self.root)).expanduser()
        parts = (str(PHOTOS), SYNSETS, SOLUTION)
        for part in parts:
            require(
                (folder / part).exists(),
                f"dataset.root={self.root}: no {part} in it; the Kaggle CLS-LOC tree has "
                f"{', '.join(parts)} (and {ANNOTATIONS} for boxes)",
            )
        return folder

    @cached_property
    def ids(self) -> Sequence[str]:
        """Names of the photos that are there, sorted."""
        found = sorted(path.stem for path in (self._folder / PHOTOS).glob("*.JPEG"))
        require(len(found) > 0, f"dataset.root={self.root}: no *.JPEG in {PHOTOS}")
        return found

    @cached_property
    def photo_labels(self) -> Sequence[int | None]:
        """Class of each photo."""
        return [self._class_of(name) for name in self.ids]

    @cached_property
    def has_boxes(self) -> bool:
        """Whether any photo comes with boxes, be it in its annotation or in the solution."""
        annotated = {path.stem for path in (self._folder / ANNOTATIONS).glob("*.xml")}
        return any(name in annotated or self._solution_of(name)[1] for name in self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    def load(self, index: int, size: int) -> Sample:
        """Decode one photo; BadPhotoError if it cannot be read."""
        name = self.ids[index]
        image = read_photo(self._folder / PHOTOS / f"{name}.JPEG")
        synset, boxes = self._solution_of(name)
        annotation = self._folder / ANNOTATIONS / f"{name}.xml"
        if annotation.is_file():
            boxes = annotated_boxes(annotation, synset, image.width, image.height)
        return self.sample(image, size, name, self._class_of(name), boxes)

    def _class_of(self, name: str) -> int:
        """Return the class index of a photo."""
        synset, _ = self._solution_of(name)
        require(synset in self._classes, f"{self._folder / SYNSETS} has no {synset}, as {name} is")
        return self._classes[synset]

    @cached_property
    def _classes(self) -> Mapping[str, int]:
        lines = (self._folder / SYNSETS).read_text(encoding="utf-8").splitlines()
        return {line.split()[0]: index for index, line in enumerate(lines) if line.strip()}

    @cached_property
    def _solution(self) -> Mapping[str, str]:
        rows = read_csv(self._folder / SOLUTION, "ImageId", "PredictionString")
        return {row["ImageId"]: row["PredictionString"] for _, row in rows}

    def _solution_of(self, name: str) -> tuple[str, list[Box]]:
        """Return a photo's synset and its boxes by the solution file."""
        require(name in self._solution, f"{self._folder / SOLUTION} has no line for {name}")
        words = self._solution[name].split()
        groups = [words[start : start + 5] for start in range(0, len(words), 5)]
        synset = groups[0][0]
        own = [group[1:] for group in groups if group[0] == synset and len(group) == 5]
        return synset, [_inclusive(*corners) for corners in own]


def annotated_boxes(file: Path, synset: str, width: int, height: int) -> list[Box]:
    """Read a synset's boxes from an annotation, scaled to a photo of width x height.

    Raises
    ------
    BadPhotoError
        If the annotation cannot be read.
    """
    try:
        root = ElementTree.parse(file).getroot()
        across = width / _side(root, "width", width)
        down = height / _side(root, "height", height)
        boxes = [_corners(thing) for thing in root.iter("object") if _is(thing, synset)]
    except (ElementTree.ParseError, ValueError) as error:
        raise BadPhotoError(f"{file}: not an annotation ({error})") from error
    return [(x0 * across, y0 * down, x1 * across, y1 * down) for x0, y0, x1, y1 in boxes]


def _side(root: ElementTree.Element, key: str, actual: int) -> float:
    """Return a side of the photo that was annotated; where it is not told, the actual one."""
    return float(root.findtext(f"size/{key}") or 0) or actual


def _is(thing: ElementTree.Element, synset: str) -> bool:
    return thing.findtext("name", "").strip() == synset


def _corners(thing: ElementTree.Element) -> Box:
    xmin, ymin, xmax, ymax = (
        thing.findtext(f"bndbox/{key}", "") for key in ("xmin", "ymin", "xmax", "ymax")
    )
    return _inclusive(xmin, ymin, xmax, ymax)


def _inclusive(xmin: str, ymin: str, xmax: str, ymax: str) -> Box:
    """Turn inclusive pixel indices into a half-open box."""
    return float(xmin), float(ymin), float(xmax) + 1, float(ymax) + 1
