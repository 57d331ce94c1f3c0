"""Labels and boxes of photos, from CSV files and COCO JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

from genattr.dataset.boxes import Boxes, Format, columns_of, corners, parsed
from genattr.dataset.photo import Box
from genattr.errors import UserError, require
from genattr.files import content

ClassIndex = Callable[[str], int]
LABEL, OTHER_NAMES = "label", ("class", "category", "class_name", "labels")
DIGITS = 18  # of an index
WRONG_JSON = (AttributeError, KeyError, OverflowError, TypeError, ValueError)


def read_text(file: Path, kind: str, errors: Literal["strict", "replace"] = "strict") -> str:
    """Read a file in UTF-8, with or without its mark; UserError names the line that is not.

    Parameters
    ----------
    kind
        What the file should be, for the message.
    errors
        What becomes of other bytes: ``replace`` makes them question marks.
    """
    try:
        return content(file).decode("utf-8-sig", errors)
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(f"{file}: not a {kind} file in UTF-8 (line {line}: {error})") from error


def read_lines(file: Path, errors: Literal["strict", "replace"] = "strict") -> list[str]:
    """Read lines as ``read_text``, without empty ones at the end."""
    return read_text(file, "text", errors).rstrip().splitlines()


def is_index(text: str) -> bool:
    """Say whether a text is a whole number that may be an index."""
    return text.isdecimal() and len(text) <= DIGITS


def read_csv(file: Path, *columns: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line numbers and the rows of a CSV file with a header.

    Parameters
    ----------
    file
        UTF-8; the separator is a comma.
    columns
        Columns that must be there once, with a value in each row.

    Raises
    ------
    UserError
        If it is no such file, or a value is missing.
    """
    with _csv(file) as reader:
        header = _header(file, reader, columns)
        for cells in filter(None, reader):
            row = dict(zip_longest(header, cells, fillvalue=""))
            if len(cells) > len(header):
                more = "more cells than the header has; a text with a comma needs quotes around it"
                raise UserError(f"{file}, line {reader.line_num}: {more}")
            if empty := [column for column in columns if not row[column].strip()]:
                raise UserError(f"{file}, line {reader.line_num}: no {', '.join(empty)}")
            yield reader.line_num, row


@contextmanager
def _csv(file: Path) -> Iterator[Any]:
    """Read a file by ``csv.reader``; UserError names the line that is wrong."""
    text = read_text(file, "CSV")
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    try:
        yield reader
    except csv.Error as error:
        where = f"line {reader.line_num}: {error}"
        raise UserError(f"{file}: not a CSV file in UTF-8 ({where})") from error


def _header(file: Path, reader: Iterator[Sequence[str]], columns: Sequence[str]) -> Sequence[str]:
    """Read the names of the columns; UserError if one is not there, or twice."""
    header = [_known(name, columns) for name in next(reader, [])]
    absent = [column for column in columns if column not in header]
    commas = "; commas separate its columns" if len(header) == 1 else ""
    require(not absent, f"{file} lacks the column {', '.join(absent)}{commas}")
    twice = [column for column in dict.fromkeys((*columns, LABEL)) if header.count(column) > 1]
    require(not twice, f"{file} has several columns {', '.join(twice)}: leave one")
    return header


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


def line_of(label: str, file: Path) -> int | None:
    """Return the number of the first row with a label; None: it has none, or is no CSV file."""
    try:
        rows = read_csv(file, "image", LABEL)
        return next((line for line, row in rows if row[LABEL].strip() == label), None)
    except UserError:
        return None


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
    with _csv(file) as reader:
        header = _header(file, reader, ("image",))
        if not any(reader):
            return {}
    others = [name for name in header if name.lower() in OTHER_NAMES]
    require(
        LABEL in header or not others,
        f"{file}: its column {', '.join(others)} is not read: call it label, or leave it out",
    )
    meant, columns = columns_of(set(header), order, str(file))
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
        entries = list(_coco_entries(json.loads(read_text(file, "JSON")), order))
    except (*WRONG_JSON, RecursionError) as error:
        raise UserError(f"{file}: not COCO JSON ({_why(error)})") from error
    return by_photo(entries, class_index)


def _coco_entries(coco: Mapping[str, Any], order: Format) -> Iterator[tuple[str, Box, str | None]]:
    photos = {image["id"]: str(image["file_name"]) for image in coco["images"]}
    names = {entry["id"]: str(entry["name"]) for entry in coco.get("categories", [])}
    for number, annotation in enumerate(coco["annotations"]):
        try:
            name = names[annotation["category_id"]] if names else None
            yield photos[annotation["image_id"]], _coco_box(annotation["bbox"], order), name
        except WRONG_JSON as error:
            raise ValueError(f"annotations[{number}]: {_why(error)}") from error


def _coco_box(numbers: Sequence[Any], order: Format) -> Box:
    """Return a box, which may have no area, as some of COCO's."""
    x0, y0, x1, y1 = box = corners([float(number) for number in numbers], order)
    if not (all(map(math.isfinite, box)) and x0 <= x1 and y0 <= y1):
        raise ValueError(f"bbox {json.dumps(numbers)} as dataset.box_format={order} is no box")
    return box


def _why(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)


def by_photo(entries: Iterable[tuple[str, Box, str | None]], class_index: ClassIndex) -> Boxes:
    """Group boxes by photo; each class name is looked up once."""
    indices: dict[str | None, int | None] = {None: None}
    boxes: Boxes = {}
    for photo, box, name in entries:
        if name is not None and name not in indices:
            indices[name] = class_index(name)
        boxes.setdefault(photo, []).append((box, indices[name]))
    return boxes
