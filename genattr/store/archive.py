"""Heatmaps on disk: one file per heatmap in the store, one file for all heatmaps of a run.

Layout of a run's ``heatmaps.npz`` (N heatmaps; read without pickle by ``numpy.load``):

============================ ======================================================
``values``                   (N, h, w) float32, raw, at the method's native resolution
``image_id``                 (N,) text
``target``                   (N,) int64, the explained class
``score``                    (N,) float64, s(x) of the untouched photo
``n_scored``, ``n_filled``   (N,) int64, images scored and filled for the heatmap
``seconds``                  (N,) float64
``details``                  (N,) text, JSON of the method's further numbers
``common``                   () text, JSON of value_range and placement
``about``                    () text, JSON that its key hashes; in the store alone
============================ ======================================================
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from errno import EINVAL
from io import BytesIO
from itertools import islice
from math import inf, isfinite, prod
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray

from genattr.files import MOST, regular
from genattr.types import Heatmap, Placement

COLUMNS = ("image_id", "target", "score", "n_scored", "n_filled", "seconds")
KINDS = {"image_id": "U", "details": "U", "target": "iu"}  # of arrays; of others any number
LARGEST = 2**24  # cells of one heatmap that is read


def write(path: Path, heatmaps: Iterable[Heatmap], count: int, about: str = "") -> Path:
    """Write ``count`` heatmaps of one run, one at a time, so that memory does not grow.

    Parameters
    ----------
    about
        JSON of everything that the heatmap's key hashes; empty: not stored.
    """
    _write(path, heatmaps, count, about)
    return path


def content(heatmap: Heatmap, about: str) -> bytes:
    """Return the file of one heatmap, which is small."""
    made = BytesIO()
    _write(made, [heatmap], 1, about)
    return made.getvalue()


def _write(file: Path | BytesIO, heatmaps: Iterable[Heatmap], count: int, about: str) -> None:
    rows: list[dict[str, Any]] = []
    common = ""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("values.npy", "w", force_zip64=True) as opened:
            for heatmap in heatmaps:
                values = heatmap.values.numpy()
                if not rows:
                    header = {"descr": "<f4", "fortran_order": False}
                    npy.write_array_header_1_0(opened, header | {"shape": (count, *values.shape)})
                    common = _common(heatmap)
                assert _common(heatmap) == common, "heatmaps of one run share range and placement"
                opened.write(np.ascontiguousarray(values, dtype="<f4").tobytes())
                rows.append(_row(heatmap))
        assert len(rows) == count, f"{len(rows)} heatmaps given, {count} announced"
        for name in (*COLUMNS, "details"):
            with archive.open(f"{name}.npy", "w") as opened:
                npy.write_array(opened, np.array([row[name] for row in rows]), allow_pickle=False)
        for name, text in {"common": common, "about": about}.items():
            if text:
                with archive.open(f"{name}.npy", "w") as opened:
                    npy.write_array(opened, np.array(text), allow_pickle=False)


def read_about(path: Path) -> str:
    """Return the JSON that a file's key hashes; empty if the file does not contain it."""
    with _opened(path) as archive:
        return _text(archive, "about")


def read(path: Path) -> Generator[Heatmap, None, None]:
    """Yield the heatmaps of a file that ``write`` made, one at a time as they are asked for.

    Raises
    ------
    Exception
        Of any kind, if the file is damaged. The checksum of the values is compared before the last
        heatmap is yielded.
    """
    with _opened(path) as archive:
        yield from _heatmaps(archive)


def read_one(path: Path) -> tuple[Heatmap, str]:
    """Return the heatmap of a file that holds one, and the JSON that its key hashes.

    Raises
    ------
    Exception
        Of any kind, if the file is damaged or does not hold one.
    """
    with _opened(path) as archive:
        (heatmap,) = islice(_heatmaps(archive), 2)
        return heatmap, _text(archive, "about")


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    with regular(path) as file, _archive(file) as archive:
        yield archive


def _archive(file: IO[bytes]) -> zipfile.ZipFile:
    """Open a zip file; what the disk or the network fails in is not taken for damage."""
    try:
        return zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        cause = error.__context__
        if isinstance(cause, OSError) and cause.errno != EINVAL:  # EINVAL: too short to seek in
            raise cause from None
        raise


def _heatmaps(archive: zipfile.ZipFile) -> Iterator[Heatmap]:
    with _member(archive, "values") as (file, shape, dtype):
        count, *cells = shape
        _expect(dtype == "<f4" and len(cells) == 2 and 0 < prod(cells) <= LARGEST, "values")
        columns = {name: _column(archive, name, count) for name in (*COLUMNS, "details")}
        common = _read_common(archive)
        for index in range(count):
            values = _values(file, cells, is_last=index == count - 1)
            row = {name: columns[name][index].item() for name in COLUMNS}
            details = json.loads(str(columns["details"][index]))
            _expect(isinstance(details, dict), "details")
            yield Heatmap(values=torch.from_numpy(values), details=details, **common, **row)


def _values(file: IO[bytes], cells: Sequence[int], *, is_last: bool) -> NDArray[np.float32]:
    content = bytearray(_bytes(file, prod(cells) * 4))
    if is_last:
        _expect(not file.read(1), "values")
    return np.frombuffer(content, "<f4").reshape(cells)


def _column(archive: zipfile.ZipFile, name: str, count: int) -> NDArray[Any]:
    with _member(archive, name) as (file, shape, dtype):
        _expect(shape == (count,) and dtype.kind in KINDS.get(name, "biuf"), name)
        return _whole(file, shape, dtype)


def _text(archive: zipfile.ZipFile, name: str) -> str:
    """Return a single text; empty if the file does not contain it."""
    if f"{name}.npy" not in archive.NameToInfo:
        return ""
    with _member(archive, name) as (file, shape, dtype):
        _expect(shape == () and dtype.kind == "U", name)
        return str(_whole(file, shape, dtype))


@contextmanager
def _member(
    archive: zipfile.ZipFile, name: str
) -> Iterator[tuple[IO[bytes], tuple[int, ...], np.dtype[Any]]]:
    """Open an array, and read its header: what it promises is not believed, but must fit."""
    info = archive.getinfo(f"{name}.npy")
    _expect(info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED), name)
    with archive.open(info) as file:
        _expect(npy.read_magic(file) == (1, 0), name)
        shape, is_fortran, dtype = npy.read_array_header_1_0(file)
        size = prod(shape) * dtype.itemsize
        _expect(not is_fortran and size == info.file_size - file.tell(), name)
        yield file, shape, dtype


def _whole(file: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    size = prod(shape) * dtype.itemsize
    _expect(size <= MOST, "size")
    array: NDArray[Any] = np.frombuffer(_bytes(file, size), dtype).reshape(shape)
    return array


def _bytes(file: IO[bytes], size: int) -> bytes:
    content = file.read(size)
    _expect(len(content) == size, "truncated")
    return content


def _read_common(archive: zipfile.ZipFile) -> dict[str, Any]:
    common = json.loads(_text(archive, "common"))
    low, high = common["value_range"]
    placement = Placement(**common["placement"])
    steps = [placement.stride, placement.last_step]
    _expect(placement.interpolation in ("bilinear", "nearest"), "placement")
    _expect(all(one is None or 0 < one < inf for one in steps), "placement")
    _expect(placement.origin is None or isfinite(placement.origin), "placement")
    _expect(low <= high, "value_range")
    return {"value_range": (low, high), "placement": placement}


def _expect(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(f"{what}: not as it was written")


def _row(heatmap: Heatmap) -> dict[str, Any]:
    row = {name: getattr(heatmap, name) for name in COLUMNS}
    return row | {"details": json.dumps(dict(heatmap.details))}


def _common(heatmap: Heatmap) -> str:
    placement = asdict(heatmap.placement)
    return json.dumps({"value_range": heatmap.value_range, "placement": placement})
