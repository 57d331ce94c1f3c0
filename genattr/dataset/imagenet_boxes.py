"""Boxes of ImageNet's validation photos: one XML file per photo, or LOC_val_solution.csv."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from genattr.dataset.annotations import read_csv
from genattr.dataset.photo import Box
from genattr.dataset.voc import corners_of, inclusive, read_annotation, size, things
from genattr.errors import BadPhotoError, UserError, require
from genattr.files import expanded

SOLUTION = "LOC_val_solution.csv"
XML_FOLDERS = (
    "ILSVRC/Annotations/CLS-LOC/val",
    "ILSVRC2012_bbox_val_v3/val",
    "ILSVRC2012_bbox_val_v3",
    "val",
)
Solution = Mapping[str, tuple[str, list[Box]]]
"""Each photo's synset, and the boxes of that synset in native half-open pixels."""


@dataclass(frozen=True)
class ImageNetBoxes:
    """Files with boxes; a photo's XML file takes precedence over its line in the table.

    Parameters
    ----------
    folder
        Holds ``ILSVRC2012_val_00000001.xml`` and so on; or None.
    table
        CSV file with the columns ImageId and PredictionString; or None.
    """

    folder: Path | None
    table: Path | None

    def has(self, name: str) -> bool:
        """Whether a photo has an XML file or boxes in the table; opens no XML file."""
        return self.xml(name) is not None or bool(self._in_table(name)[1])

    def of(self, name: str, synset: str, width: int, height: int) -> list[Box]:
        """Return the boxes of a photo's synset, for a photo of width x height.

        Raises
        ------
        BadPhotoError
            If the photo's annotation cannot be read.
        """
        file = self.xml(name)
        if file is not None:
            return annotated_boxes(file, synset, width, height)
        labeled, boxes = self._in_table(name)
        return boxes if labeled == synset else []

    def xml(self, name: str) -> Path | None:
        """Return a photo's XML file, if there is one."""
        file = self.folder / f"{name}.xml" if self.folder else None
        return file if file and file.is_file() else None

    def _in_table(self, name: str) -> tuple[str, list[Box]]:
        return self._solution.get(name, ("", []))

    @cached_property
    def _solution(self) -> Solution:
        return read_solution(self.table) if self.table else {}


def find_boxes(root: Path, annotations: str | None) -> ImageNetBoxes:
    """Find the boxes at their usual places in ``root``, or where ``annotations`` says.

    Raises
    ------
    UserError
        If ``annotations`` is not None and leads to no boxes.
    """
    if annotations is None:
        table = root / SOLUTION
        places = [root / place for place in XML_FOLDERS]
        return ImageNetBoxes(_with_xml(*places), table if table.is_file() else None)
    path = expanded(annotations)
    if path.is_file():
        return ImageNetBoxes(None, path)
    folder = _with_xml(path, path / "val")
    require(
        folder is not None,
        f"dataset.annotations={annotations}: neither a folder with *.xml nor a file such as "
        f"{SOLUTION}",
    )
    return ImageNetBoxes(folder, None)


def _with_xml(*folders: Path) -> Path | None:
    return next((folder for folder in folders if any(folder.glob("*.xml"))), None)


def read_solution(file: Path) -> Solution:
    """Read lines such as "ILSVRC2012_val_00000293,n01440764 1 2 30 40 n01440764 5 6 7 8".

    Raises
    ------
    UserError
        If it is no such table.
    """
    solution: dict[str, tuple[str, list[Box]]] = {}
    for line, row in read_csv(file, "ImageId", "PredictionString"):
        where, name = f"{file}, line {line}", row["ImageId"]
        require(name not in solution, f"{where}: a second line of {name}")
        solution[name] = _parsed(row["PredictionString"], where)
    return solution


def _parsed(text: str, where: str) -> tuple[str, list[Box]]:
    """Split into groups of a synset and four numbers; the first group's synset is the photo's.

    A lone synset is a photo without boxes.
    """
    synset, *more = words = text.split()
    if not more:
        return synset, []
    require(len(words) % 5 == 0, f"{where}: each box needs a synset and four numbers")
    groups = [words[start : start + 5] for start in range(0, len(words), 5)]
    try:
        boxes = [(name, inclusive(*corners)) for name, *corners in groups]
    except ValueError as error:
        raise UserError(f"{where}: {error}") from error
    return synset, [box for name, box in boxes if name == synset]


def annotated_boxes(file: Path, synset: str, width: int, height: int) -> list[Box]:
    """Read a synset's boxes from an annotation, scaled to a photo of width x height.

    Raises
    ------
    BadPhotoError
        If the annotation cannot be read.
    """
    try:
        root = read_annotation(file)
        annotated = size(root)
        boxes = [inclusive(*corners_of(thing)) for name, thing in things(root) if name == synset]
    except ValueError as error:
        raise BadPhotoError(f"{file}: not an annotation ({error})") from error
    across, down = width / (annotated[0] or width), height / (annotated[1] or height)
    return [(x0 * across, y0 * down, x1 * across, y1 * down) for x0, y0, x1, y1 in boxes]
