"""Boxes from files of any kind: CSV, COCO JSON, and folders of YOLO's text or Pascal VOC's XML."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from genattr.dataset.annotations import ClassIndex, by_photo, coco_boxes, csv_boxes, read_lines
from genattr.dataset.boxes import Annotated, Format, Units, parsed
from genattr.dataset.formats import files_below
from genattr.dataset.photo import Box
from genattr.dataset.voc import corners_of, inclusive, read_annotation, size, things
from genattr.errors import UserError, require


@dataclass(frozen=True)
class Stated:
    """What the user states of boxes; None: as the file's kind has it.

    Attributes
    ----------
    order
        What the four numbers mean: CSV by the names of its columns, COCO ``xywh``, YOLO
        ``cxcywh``, XML ``xyxy``.
    units
        Shares of the photo for YOLO, pixels for the others.
    """

    order: Format | None
    units: Units | None


@dataclass(frozen=True)
class Page:
    """What a file says of its photo.

    Attributes
    ----------
    entries
        Boxes, and the names of their classes.
    frame
        Width and height that they are measured in; None: the photo's own.
    """

    entries: Sequence[tuple[Box, str]]
    frame: tuple[float, float] | None = None


def read_boxes(
    path: Path, photos: Collection[str], class_index: ClassIndex, stated: Stated
) -> Annotated:
    """Read the boxes of photos.

    Parameters
    ----------
    path
        COCO as ``*.json``, a folder with ``birds/a.txt`` or ``birds/a.xml`` for the photo
        ``birds/a.jpg``, or else CSV.
    photos
        Names of the photos.

    Returns
    -------
    The boxes; a name that is none of ``photos`` is there too.

    Raises
    ------
    UserError
        If a file is wrong, or ``stated`` does not fit it, or as ``class_index`` does.
    """
    if path.is_dir():
        return _read_folder(path, photos, class_index, stated)
    if path.suffix.lower() == ".json":
        boxes = coco_boxes(path, class_index, stated.order or "xywh")
    else:
        boxes = csv_boxes(path, class_index, stated.order)
    return Annotated(boxes, stated.units or "pixels")


def _read_folder(
    folder: Path, photos: Collection[str], class_index: ClassIndex, stated: Stated
) -> Annotated:
    files = _files(folder, photos)
    is_xml = all(file.suffix.lower() == ".xml" for file in files)
    order, units = stated.order or "cxcywh", stated.units or "relative"
    if is_xml:
        order, units = stated.order or "xyxy", stated.units or "pixels"
        require(
            order == "xyxy",
            f"dataset.box_format={order}: XML has corners, as in {folder}; leave it at null",
        )
    read = _voc if is_xml else _yolo
    pages = _pages(files, folder, partial(read, order=order, units=units))
    entries = ((name, *entry) for name, page in pages.items() for entry in page.entries)
    frames = {name: page.frame for name, page in pages.items() if page.frame}
    return Annotated(by_photo(entries, class_index), units, frames)


def files_in(path: Path) -> Sequence[Path]:
    """Return the files of boxes in a folder and its subfolders, sorted; or the one file itself."""
    if not path.is_dir():
        return [path]
    return [
        file
        for file in sorted(files_below(path))
        if file.suffix.lower() in (".txt", ".xml") and not file.name.startswith(".")
    ]


def _files(folder: Path, photos: Collection[str]) -> Mapping[Path, str | None]:
    """Return the files of boxes, of one kind, each with the name of its photo; None: none."""
    named: dict[str, set[str]] = {}
    for photo in photos:
        for name in (photo, PurePosixPath(photo).with_suffix("").as_posix()):
            named.setdefault(name, set()).add(photo)
    files: dict[Path, str | None] = {}
    for file in files_in(folder):
        found = sorted(named.get(file.relative_to(folder).with_suffix("").as_posix(), ()))
        require(len(found) < 2, f"{file}: which photo is it of, {' or '.join(found)}?")
        files[file] = found[0] if found else None
    kinds = {file.suffix.lower() for file, photo in files.items() if photo}
    require(
        len(kinds) < 2, f"dataset.boxes={folder}: both *.txt and *.xml of photos: give one kind"
    )
    require(len(files) > 0, f"dataset.boxes={folder}: neither *.txt nor *.xml in it")
    return {
        file: photo for file, photo in files.items() if not kinds or file.suffix.lower() in kinds
    }


def _pages(
    files: Mapping[Path, str | None], folder: Path, read: Callable[[Path], Page]
) -> Mapping[str, Page]:
    """Read files, by photo; one without a photo counts, by its own name, if it has boxes."""
    pages = {}
    for file, photo in files.items():
        try:
            page = read(file)
        except (UserError, ValueError) as error:
            require(photo is None, f"{file}: not the boxes of a photo ({error})")
            continue
        if photo or page.entries:
            pages[photo or file.relative_to(folder).as_posix()] = page
    require(len(pages) > 0, f"dataset.boxes={folder}: no file in it is named as a photo")
    return pages


def _yolo(file: Path, order: Format, units: Units) -> Page:
    """Read lines of a class index and four numbers."""
    entries = []
    for number, line in enumerate(read_lines(file), start=1):
        if not line.strip():
            continue
        index, *numbers = line.split()
        if not index.isdecimal() or len(numbers) != 4:
            raise ValueError(f"line {number}: '{line}' is not like '0 0.5 0.5 0.2 0.2'")
        entries.append((parsed(numbers, order, f"line {number}"), index))
    return Page(entries)


def _voc(file: Path, order: Format, units: Units) -> Page:
    """Read objects whose pixels include both ends, unlike shares."""
    root = read_annotation(file)
    corners = [(name, corners_of(thing)) for name, thing in things(root)]
    if not all(name for name, _ in corners):
        raise ValueError("an object has no name")
    if units == "relative":
        return Page([(parsed(texts, order, name), name) for name, texts in corners])
    width, height = size(root)
    entries = [(inclusive(*texts), name) for name, texts in corners]
    return Page(entries, (width, height) if width and height else None)
