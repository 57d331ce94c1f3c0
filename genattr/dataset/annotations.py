"""Labels and boxes of photos, from CSV files and COCO JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from genattr.dataset.boxes import Boxes, Format, columns_of, corners, parsed
from genattr.dataset.photo import Box
from genattr.errors import UserError, require

ClassIndex = Callable[[str], int]
LABEL, OTHER_NAMES = "label", ("class", "category", "class_name", "labels")


def read_lines(file: Path) -> list[str]:
    """Read lines in UTF-8, without empty ones at the end; UserError if the file is no such text."""
    try:
        return file.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not a text file in UTF-8 ({error})") from error


def read_csv(file: Path, *columns: str) -> list[tuple[int, dict[str, str]]]:
    """Read a CSV file with a header: line numbers and rows.

    Parameters
    ----------
    file
        UTF-8; the separator is a comma.
    columns
        Columns that must be there, with a value in each row.

    Raises
    ------
    UserError
        If it is no such file, or a value is missing.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, restval="", skipinitialspace=True)
            reader.fieldnames = [_known(name, columns) for name in reader.fieldnames or []]
            rows = [(reader.line_num, row) for row in reader]
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{file}: not a CSV file in UTF-8 ({error})") from error
    for line, row in rows:
        more = "more cells than the header has; a text with a comma needs quotes around it"
        require(None not in row, f"{file}, line {line}: {more}")
    absent = [column for column in columns if column not in (reader.fieldnames or [])]
    require(not absent, f"{file} lacks the column {', '.join(absent)}")
    for line, row in rows:
        empty = [column for column in columns if not row[column].strip()]
        require(not empty, f"{file}, line {line}: no {', '.join(empty)}")
    return rows


def _known(name: str, columns: Sequence[str]) -> str:
    """Return the name of a column as it is asked for, whatever its case."""
    known = {column.lower(): column for column in (*columns, LABEL)}
    return known.get(name.strip().lower(), name.strip())


def csv_labels(file: Path, class_index: ClassIndex) -> dict[str, list[int]]:
    """Read each photo's class indices from the columns image and label, one a row.

    Raises
    ------
    UserError
        If the file cannot be read, or as ``class_index`` does.
    """
    labels: dict[str, list[int]] = {}
    for _, row in read_csv(file, "image", "label"):
        labels.setdefault(row["image"], []).append(class_index(row["label"]))
    return labels


def csv_boxes(file: Path, class_index: ClassIndex, order: Format | None = None) -> Boxes:
    """Read boxes from the column image and four others, and classes from label if it is there.

    Parameters
    ----------
    order
        What the four numbers mean; None: what the names of their columns say, see
        ``boxes.COLUMNS``.

    Raises
    ------
    UserError
        If the file cannot be read, or a box is none, or as ``class_index`` does.
    """
    rows = read_csv(file, "image")
    if not rows:
        return {}
    others = [name for name in rows[0][1] if name.lower() in OTHER_NAMES]
    require(
        LABEL in rows[0][1] or not others,
        f"{file}: its column {', '.join(others)} is not read: call it label, or leave it out",
    )
    meant, columns = columns_of(set(rows[0][1]), order, str(file))
    return by_photo(
        (
            (
                row["image"],
                parsed([row[column] for column in columns], meant, f"{file}, line {line}"),
                row.get("label", "").strip() or None,
            )
            for line, row in read_csv(file, "image", *columns)
        ),
        class_index,
    )


def coco_boxes(file: Path, class_index: ClassIndex, order: Format = "xywh") -> Boxes:
    """Read boxes and classes from COCO JSON; only categories with a box need to be known.

    Parameters
    ----------
    order
        What the four numbers of a ``bbox`` mean.

    Raises
    ------
    UserError
        If the file is not such JSON, or as ``class_index`` does.
    """
    try:
        entries = _coco_entries(json.loads(file.read_text(encoding="utf-8-sig")), order)
    except (KeyError, TypeError, ValueError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{file}: not COCO JSON ({reason})") from error
    return by_photo(entries, class_index)


def _coco_entries(coco: dict[str, Any], order: Format) -> Sequence[tuple[str, Box, str | None]]:
    photos = {image["id"]: str(image["file_name"]) for image in coco["images"]}
    names = {entry["id"]: str(entry["name"]) for entry in coco.get("categories", [])}
    entries = []
    for annotation in coco["annotations"]:
        box = corners([float(number) for number in annotation["bbox"]], order)
        name = names[annotation["category_id"]] if names else None
        entries.append((photos[annotation["image_id"]], box, name))
    return entries


def by_photo(entries: Iterable[tuple[str, Box, str | None]], class_index: ClassIndex) -> Boxes:
    """Group boxes by photo; each class name is looked up once."""
    indices: dict[str | None, int | None] = {None: None}
    boxes: Boxes = {}
    for photo, box, name in entries:
        if name is not None and name not in indices:
            indices[name] = class_index(name)
        boxes.setdefault(photo, []).append((box, indices[name]))
    return boxes
