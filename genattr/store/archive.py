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
import math
import zipfile
from collections.abc import Generator, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray

from genattr.types import Heatmap, Placement

COLUMNS = ("image_id", "target", "score", "n_scored", "n_filled", "seconds")


def write(path: Path, heatmaps: Iterable[Heatmap], count: int, about: str = "") -> Path:
    """Write ``count`` heatmaps of one run, one at a time, so that memory does not grow.

    Parameters
    ----------
    about
        JSON of everything that the heatmap's key hashes; empty: not stored.
    """
    rows: list[dict[str, Any]] = []
    common = ""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("values.npy", "w", force_zip64=True) as file:
            for heatmap in heatmaps:
                values = heatmap.values.numpy()
                if not rows:
                    header = {"descr": "<f4", "fortran_order": False}
                    npy.write_array_header_1_0(file, header | {"shape": (count, *values.shape)})
                    common = _common(heatmap)
                assert _common(heatmap) == common, "heatmaps of one run share range and placement"
                file.write(np.ascontiguousarray(values, dtype="<f4").tobytes())
                rows.append(_row(heatmap))
        assert len(rows) == count, f"{len(rows)} heatmaps given, {count} announced"
        for name in (*COLUMNS, "details"):
            with archive.open(f"{name}.npy", "w") as file:
                npy.write_array(file, np.array([row[name] for row in rows]), allow_pickle=False)
        for name, text in {"common": common, "about": about}.items():
            if text:
                with archive.open(f"{name}.npy", "w") as file:
                    npy.write_array(file, np.array(text), allow_pickle=False)
    return path


def read_about(path: Path) -> str:
    """Return the JSON that a file's key hashes; empty if the file does not contain it."""
    with np.load(path, allow_pickle=False) as data:
        return str(data["about"]) if "about" in data else ""


def read(path: Path) -> Generator[Heatmap, None, None]:
    """Yield the heatmaps of a file that ``write`` made, one at a time as they are asked for."""
    with np.load(path, allow_pickle=False) as data:
        arrays = {name: data[name] for name in (*COLUMNS, "details", "common")}
    common = json.loads(str(arrays["common"]))
    for index, values in enumerate(_values(path)):
        row = {name: arrays[name][index].item() for name in COLUMNS}
        details = json.loads(str(arrays["details"][index]))
        yield Heatmap(
            values=torch.from_numpy(values),
            value_range=tuple(common["value_range"]),
            placement=Placement(**common["placement"]),
            details=details,
            **row,
        )


def _values(path: Path) -> Iterator[NDArray[np.float32]]:
    with zipfile.ZipFile(path) as archive, archive.open("values.npy") as file:
        npy.read_magic(file)
        (count, *shape), _, dtype = npy.read_array_header_1_0(file)
        for _ in range(count):
            content = bytearray(file.read(math.prod(shape) * dtype.itemsize))
            yield np.frombuffer(content, dtype).reshape(shape)


def _row(heatmap: Heatmap) -> dict[str, Any]:
    row = {name: getattr(heatmap, name) for name in COLUMNS}
    return row | {"details": json.dumps(dict(heatmap.details))}


def _common(heatmap: Heatmap) -> str:
    placement = asdict(heatmap.placement)
    return json.dumps({"value_range": heatmap.value_range, "placement": placement})
