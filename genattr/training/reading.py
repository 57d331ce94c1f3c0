"""Finds photos for training and reduces them, once, to a file of pixels."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from genattr.dataset.formats import photos_in
from genattr.dataset.photo import read_photo
from genattr.errors import BadPhotoError, require
from genattr.files import replaced

log = logging.getLogger(__name__)

LEAST_SIDE = 32  # pixels; smaller photos are skipped
CHUNK = 256  # photos that are decoded before they are written
PIXELS, INDEX = "photos.bin", "photos.json"


def find(root: Path, output: Path) -> list[Path]:
    """Return the photos in a folder and all its subfolders, sorted, without our own pictures.

    Raises
    ------
    UserError
        If there is no such folder or no photo in it.
    """
    require(root.is_dir(), f"root={root}: no such folder")
    found = photos_in(root, skip=output)
    found.tell(f"root={root}")
    return found.photos


@dataclass(frozen=True)
class Index:
    """What a file of pixels holds.

    Attributes
    ----------
    source
        Hash of the names, sizes and times of the photos, and of how they were reduced.
    names
        The photos that could be read, by their path below the root.
    heights, widths
        Their reduced sizes in pixels.
    bad
        A line for each that was skipped.
    """

    source: str
    names: list[str]
    heights: list[int]
    widths: list[int]
    bad: list[str]


def prepare(
    paths: Sequence[Path], root: Path, folder: Path, side: int, advance: Callable[[], None]
) -> Index:
    """Write photos, reduced to a shorter side of at most ``side``, to one file of pixels.

    A file that an earlier start wrote of the same photos is taken as it is. Photos that cannot be
    read, or are smaller than 32 px, are named, counted and skipped.

    Parameters
    ----------
    advance
        Called after each photo.

    Raises
    ------
    UserError
        If no photo can be read.
    """
    source = _hash(paths, root, side)
    before = _read_index(folder)
    if before is not None and before.source == source:
        return before
    index = Index(source, [], [], [], [])
    (folder / INDEX).unlink(missing_ok=True)  # it is of the pixels that are about to go
    with replaced(folder / PIXELS) as temporary, temporary.open("wb") as opened:
        for path, read in _decoded(paths, side):
            advance()
            name = path.relative_to(root).as_posix()
            if isinstance(read, str):
                log.warning("skipped: %s", read)
                index.bad.append(read)
                continue
            opened.write(read.tobytes())
            index.names.append(name)
            index.heights.append(read.shape[0])
            index.widths.append(read.shape[1])
        require(len(index.names) > 0, f"root={root}: none of its {len(paths)} photos can be read")
    _write_index(folder, index)
    return index


def _hash(paths: Sequence[Path], root: Path, side: int) -> str:
    digest = hashlib.blake2b(str(side).encode(), digest_size=16)
    for path in paths:
        facts = path.stat()
        name = path.relative_to(root).as_posix()
        digest.update(f"{name!a} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _read_index(folder: Path) -> Index | None:
    file = folder / INDEX
    if not file.is_file() or not (folder / PIXELS).is_file():
        return None
    index = Index(**json.loads(file.read_text()))
    sides = zip(index.heights, index.widths, strict=True)
    whole = 4 * sum(height * width for height, width in sides)
    return index if (folder / PIXELS).stat().st_size == whole else None


def _write_index(folder: Path, index: Index) -> None:
    with replaced(folder / INDEX) as temporary:
        temporary.write_text(json.dumps(asdict(index)))


def read_index(folder: Path) -> Index:
    """Read what ``prepare`` wrote, in another process."""
    index = _read_index(folder)
    assert index is not None
    return index


def _decoded(paths: Sequence[Path], side: int) -> Iterator[tuple[Path, NDArray[np.uint8] | str]]:
    """Yield each photo's pixels as RGBA, or why it is skipped; some are decoded at a time."""
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for start in range(0, len(paths), CHUNK):
            part = paths[start : start + CHUNK]
            yield from zip(part, pool.map(_reduced, part, [side] * len(part)), strict=True)


def _reduced(path: Path, side: int) -> NDArray[np.uint8] | str:
    try:
        photo = read_photo(path)
    except BadPhotoError as error:
        return str(error)
    shorter = min(photo.size)
    if shorter < LEAST_SIDE:
        return f"{path}: {photo.width} x {photo.height} px, less than {LEAST_SIDE}"
    if shorter > side:
        size = (round(photo.width * side / shorter), round(photo.height * side / shorter))
        photo = photo.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(photo.convert("RGBA"))
