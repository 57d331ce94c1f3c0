"""ImageNet validation photos in the Kaggle tree (CLS-LOC)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from xml.etree import ElementTree

from genattr.dataset.photo import Box, PhotoPreprocessing, read_photo
from genattr.errors import UserError, require
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
        for part in (PHOTOS, Path(SYNSETS), Path(SOLUTION)):
            require(
                (folder / part).exists(),
                f"dataset.root={self.root}: no {part} in it, which the Kaggle CLS-LOC tree has",
            )
        return folder

    @cached_property
    def ids(self) -> Sequence[str]:
        """Names of the photos that are there, sorted."""
        found = sorted(path.stem for path in (self._folder / PHOTOS).glob("*.JPEG"))
        require(len(found) > 0, f"dataset.root={self.root}: no *.JPEG in {PHOTOS}")
        return found

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
        return self.sample(image, size, name, self._classes[synset], boxes)

    @cached_property
    def _classes(self) -> Mapping[str, int]:
        lines = (self._folder / SYNSETS).read_text(encoding="utf-8").splitlines()
        return {line.split()[0]: index for index, line in enumerate(lines) if line.strip()}

    @cached_property
    def _solution(self) -> Mapping[str, str]:
        lines = (self._folder / SOLUTION).read_text(encoding="utf-8").splitlines()[1:]
        return dict(line.split(",", 1) for line in lines if line.strip())

    def _solution_of(self, name: str) -> tuple[str, list[Box]]:
        """Return a photo's synset and its boxes by the solution file."""
        if name not in self._solution:
            raise UserError(f"{self._folder / SOLUTION} has no line for {name}")
        words = self._solution[name].split()
        groups = [words[start : start + 5] for start in range(0, len(words), 5)]
        synset = groups[0][0]
        return synset, [_inclusive(*group[1:]) for group in groups if group[0] == synset]


def annotated_boxes(file: Path, synset: str, width: int, height: int) -> list[Box]:
    """Read a synset's boxes from an annotation, scaled to a photo of width x height."""
    root = ElementTree.parse(file).getroot()
    across = width / _number(root, "size/width")
    down = height / _number(root, "size/height")
    boxes = []
    for thing in root.iter("object"):
        if thing.findtext("name") == synset:
            corners = (
                thing.findtext(f"bndbox/{key}", "") for key in ("xmin", "ymin", "xmax", "ymax")
            )
            x0, y0, x1, y1 = _inclusive(*corners)
            boxes.append((x0 * across, y0 * down, x1 * across, y1 * down))
    return boxes


def _inclusive(xmin: str, ymin: str, xmax: str, ymax: str) -> Box:
    """Turn inclusive pixel indices into a half-open box."""
    return float(xmin), float(ymin), float(xmax) + 1, float(ymax) + 1


def _number(root: ElementTree.Element, path: str) -> float:
    return float(root.findtext(path, "nan"))
