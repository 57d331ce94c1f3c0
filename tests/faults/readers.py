"""What reads files that others made: a small valid file of each kind, and how it is read.

A reader ends in a result, or in one of the foreseen errors, of one line.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unicodedata import category
from unittest.mock import patch
from zipfile import ZIP_STORED, ZipExtFile, ZipFile

import torch
from PIL import Image
from safetensors.torch import save

from genattr.assets import checkpoint
from genattr.dataset.folder import Folder
from genattr.dataset.imagenet_boxes import annotated_boxes, read_solution
from genattr.dataset.imagenet_trees import _ground_truth
from genattr.dataset.photo import place_boxes
from genattr.dataset.places365 import read_list
from genattr.dataset.places365_classes import read_categories
from genattr.errors import BadPhotoError, UserError
from genattr.filler._deepfill import tensor_bundle
from genattr.filler._deepfill.tensor_bundle import read_index
from genattr.store import archive
from genattr.store.heatmaps import HeatmapStore
from genattr.store.scores import ScoreStore
from genattr.types import Heatmap, Placement
from tests.filler.bundles import index_file

LONGEST = 1_200  # characters of a line
KEY = "ab" * 32  # under which the store has its one file
NETWORK = {"layer.weight": torch.ones(2, 3), "layer.bias": torch.zeros(2)}
WHOLE = {"preprocess": "squash", "resize": None, "crop": None, "interpolation": "bicubic"}


class BadLineError(Exception):
    """A foreseen error whose text is not one short line."""


@dataclass(frozen=True)
class Reader:
    """One kind of files.

    Attributes
    ----------
    name
        Path of a file below an empty folder.
    read
        Reads such a file of that folder, and uses what it finds.
    seeds
        Contents that are valid.
    """

    name: str
    read: Callable[[Path, Path], object]
    seeds: Callable[[], Sequence[bytes]]

    def answer(self, folder: Path, content: bytes) -> str | None:
        """Read a content in a folder; the line of a foreseen error, None: a result."""
        file = folder / self.name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        try:
            self.read(file, folder)
        except (UserError, BadPhotoError) as error:
            check_line(str(error))
            return str(error)
        return None


def check_line(text: str) -> None:
    """Raise unless a message is one line that a terminal shows as it is."""
    is_shown = all(category(one) not in ("Cc", "Cs", "Zl", "Zp") for one in text)
    if not (is_shown and 0 < len(text) <= LONGEST):
        raise BadLineError(f"{len(text)} characters: {text[:300]!a}")


@contextmanager
def foreseen() -> Iterator[None]:
    """Go on after a foreseen error of one line."""
    try:
        yield
    except UserError as error:
        check_line(str(error))


def _folder(folder: Path, **given: Any) -> Folder:
    for name in ("a.png", "b.png"):
        (folder / "photos").mkdir(exist_ok=True)
        (folder / "photos" / name).touch()
    nothing = {"labels": None, "boxes": None, "classes": None}
    return Folder(root=str(folder / "photos"), **{**nothing, **WHOLE, **given})


def _used(dataset: Folder) -> None:
    blank = Image.new("RGB", (40, 20))
    _ = dataset.class_names, dataset.n_classes, dataset.has_boxes, dataset.may_mean_names
    for name, labels in zip(dataset.ids, dataset.label_sets, strict=True):
        for label in labels or (None,):
            boxes = place_boxes(dataset._boxes_in(name, label, blank), (0, 0, 40, 20), 16)
            assert boxes is None or boxes.isfinite().all()
            assert label is None or 0 <= label < 2**63


def _labels(file: Path, folder: Path) -> None:
    classes = folder / "classes.txt"
    classes.write_text("tench\ngoldfish\n7\n")
    with foreseen():
        _used(_folder(folder, labels=str(file), classes=str(classes)))
    _used(_folder(folder, labels=str(file)))


def _classes(file: Path, folder: Path) -> None:
    labels = folder / "labels.csv"
    labels.write_text("image,label\na.png,tench\nb.png,1\n")
    _used(_folder(folder, labels=str(labels), classes=str(file)))


def _boxes(file: Path, folder: Path) -> None:
    place = file if file.parent == folder else file.parent
    with foreseen():
        _used(_folder(folder, boxes=str(place), box_units="relative"))
    _used(_folder(folder, boxes=str(place)))


def _index(file: Path, folder: Path) -> None:
    """Read it as it is, and as one whose checksums fit."""
    with foreseen():
        _ = [entry.size for entry in read_index(file).values()]
    with patch.object(tensor_bundle, "masked_crc32c", lambda _: Anything()):
        entries = read_index(file)
        data = file.with_suffix(".data")
        data.write_bytes(bytes(64))
        tensor_bundle.tensors(data, entries)


class Anything:
    """Equals whatever it is compared with."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True


def _heatmap(file: Path, folder: Path) -> None:
    """Read it as it is, and as one whose checksums fit."""
    store = HeatmapStore(folder / "store")
    _usable(store.get(KEY), folder)
    with patch.object(ZipExtFile, "_update_crc", lambda *_: None):
        _usable(store.get(KEY), folder)


def _usable(heatmap: Heatmap | None, folder: Path) -> None:
    if heatmap is not None:
        assert heatmap.to_image(16).isfinite().all()
        archive.write(folder / "again.npz", [heatmap], 1)


def _scores(file: Path, folder: Path) -> None:
    found = ScoreStore(folder / "store").get(KEY)
    for key, values in found.items():
        assert isinstance(key, str)
        assert all(isinstance(name, str) for name in values)


def _checkpoint(file: Path, _: Path) -> None:
    with foreseen():
        checkpoint.plain_state(file)
    checkpoint.find(file, NETWORK)


def _annotation(file: Path, _: Path) -> None:
    boxes = annotated_boxes(file, "n01440764", 40, 20)
    placed = place_boxes(boxes, (0, 0, 40, 20), 16)
    assert placed is None or placed.isfinite().all()


CSV_LABELS = (
    b"image,label\na.png,3\nb.png,tench\n",
    b'label,image\n"great white shark, man-eater",a.png\n"x\ny", b.png\n',
    b"\xef\xbb\xbfimage,label\r\na.png,0\r\na.png,1\r\n",
)
CSV_BOXES = (
    b"image,x0,y0,x1,y1,label\na.png,1,2,30,14,tench\nb.png,0.5,0,9,9,tench\n",
    b"image,x,y,width,height\na.png,1,2,30,14\n",
    b"image,cx,cy,w,h\na.png,20,10,8,.6e1\n",
)
COCO: dict[str, Any] = {
    "images": [{"id": 1, "file_name": "a.png"}, {"id": "b", "file_name": "b.png"}],
    "categories": [{"id": 7, "name": "tench"}],
    "annotations": [
        {"image_id": 1, "category_id": 7, "bbox": [1, 2, 29, 12]},
        {"image_id": "b", "category_id": 7, "bbox": [0.5, 0, 9, 9.5]},
    ],
}
XML = (
    b"<annotation><size><width>40</width><height>20</height></size><object><name>n01440764</name>"
    b"<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>29</xmax><ymax>14</ymax></bndbox></object>"
    b"</annotation>"
)
COCO_TEXTS = (
    json.dumps(COCO).encode(),
    json.dumps({**COCO, "categories": []}).encode(),
    b'{"images": [], "annotations": [], "categories": []}',
)


@cache
def heatmap_files() -> Sequence[bytes]:
    """Write heatmaps as the store does, and once without compression."""
    ranges = ((-1.0, float("inf")), (0.0, 1.0))
    places = (Placement("bilinear", 14.5, 3.0), Placement("nearest"))
    files = []
    with TemporaryDirectory() as folder:
        path = Path(folder) / "one.npz"
        for bounds, place in zip(ranges, places, strict=True):
            values = torch.linspace(0, 1, 6).reshape(2, 3)
            made = Heatmap(values, bounds, place, "a.png", 3, 0.25, 10, 3, 1.5, {"steps": 2.0})
            files.append(archive.write(path, [made], 1, '{"seed": 0}').read_bytes())
    plain = io.BytesIO()
    with ZipFile(io.BytesIO(files[0])) as packed, ZipFile(plain, "w", ZIP_STORED) as stored:
        for name in packed.namelist():
            stored.writestr(name, packed.read(name))
    return [*files, plain.getvalue()]


def _score_files() -> Sequence[bytes]:
    entry = {"about": '{"seed": 0}', "values": {"deletion": 0.5, "curve": [1.0, 0.5]}}
    return [json.dumps({"version": 1, "scores": {"cd" * 32: entry}}).encode()]


@cache
def _pth_files() -> Sequence[bytes]:
    files = []
    for value in (NETWORK, {"model": NETWORK, "epoch": 3}):
        for is_new in (True, False):
            stream = io.BytesIO()
            torch.save(value, stream, _use_new_zipfile_serialization=is_new)
            files.append(stream.getvalue())
    return files


def _texts(*texts: bytes) -> Callable[[], Sequence[bytes]]:
    return lambda: texts


PLACES = b"Places365_val_00000001.jpg 3\nPlaces365_val_00000002.jpg 1\n"
READERS = {
    "labels": Reader("labels.csv", _labels, _texts(*CSV_LABELS)),
    "classes": Reader("names.txt", _classes, _texts(b"tench\ngoldfish\n", b"7\n1\ntench\n")),
    "places": Reader("places.txt", lambda file, _: read_list(file, 365), _texts(PLACES)),
    "categories": Reader(
        "all.txt", lambda file, _: read_categories(file), _texts(b"/a/airfield 0\n/b/bar 1\n")
    ),
    "truth": Reader("truth.txt", lambda file, _: _ground_truth(file), _texts(b"3\n490\n")),
    "boxes.csv": Reader("boxes.csv", _boxes, _texts(*CSV_BOXES)),
    "boxes.json": Reader("boxes.json", _boxes, _texts(*COCO_TEXTS)),
    "boxes.txt": Reader("boxes/a.txt", _boxes, _texts(b"3 0.5 0.5 0.2 0.2\n0 0.1 0.1 0.2 0.2\n")),
    "boxes.xml": Reader("boxes/a.xml", _boxes, _texts(XML)),
    "annotation": Reader("a.xml", _annotation, _texts(XML)),
    "solution": Reader(
        "solution.csv",
        lambda file, _: read_solution(file),
        _texts(b"ImageId,PredictionString\na,n01440764 1 2 30 40 n01440764 5 6 7 8\nb,n02\n"),
    ),
    "index": Reader(
        "snap.index", _index, lambda: [index_file({"a/kernel": (2, 3), "a/bias": (3,)})]
    ),
    "heatmap": Reader(f"store/ab/{KEY}.npz", _heatmap, heatmap_files),
    "scores": Reader(f"store/ab/{KEY}.scores.json", _scores, _score_files),
    "checkpoint.pth": Reader("network.pth", _checkpoint, _pth_files),
    "checkpoint.safetensors": Reader(
        "network.safetensors", _checkpoint, lambda: [save(NETWORK)]
    ),
}  # fmt: skip
