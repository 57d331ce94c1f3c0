"""Labels and boxes from CSV and COCO: what counts, and what is told where a file is wrong."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from genattr.dataset.annotations import coco_boxes, csv_boxes, csv_labels
from genattr.dataset.folder import Folder
from genattr.errors import UserError
from tests.conftest import photo_file

CLASSES = ["crack", "no crack"]


def folder(root: Path, **files: str) -> Folder:
    """Return one photo, 40 x 20, of two own classes, with these files beside it."""
    photo_file(root / "photos" / "a.png")
    (root / "classes").write_text("\n".join(CLASSES) + " \n")
    for key, content in files.items():
        (root / key).write_text(content)
    paths = {key: str(root / key) if key in files else None for key in ("labels", "boxes")}
    return Folder(
        root=str(root / "photos"),
        classes=str(root / "classes"),
        box_format=None,
        box_units=None,
        preprocess="squash",
        resize=None,
        crop=None,
        interpolation="bicubic",
        **paths,
    )


BOXES = "image,x0,y0,x1,y1,label\na.png,0,0,20,20,crack\na.png,20,0,40,20,no crack\n"


def test_csv_boxes_of_other_classes_do_not_count(tmp_path: Path) -> None:
    sample = folder(tmp_path, boxes=BOXES, labels="image,label\na.png, no crack\n").load(0, 40)
    assert (sample.label, sample.boxes.tolist()) == (1, [[20, 0, 40, 40]])


def test_boxes_that_disagree_leave_a_photo_without_label_and_box(tmp_path: Path) -> None:
    sample = folder(tmp_path, boxes=BOXES).load(0, 40)
    assert (sample.label, sample.boxes) == (None, None)


def test_a_label_may_be_left_out_of_a_box(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("image,x0,y0,x1,y1,label\na,0,1,2,3,\nb,0,0,1,1,crack\n")
    assert csv_boxes(tmp_path / "b.csv", CLASSES.index) == {
        "a": [((0, 1, 2, 3), None)],
        "b": [((0, 0, 1, 1), 0)],
    }


def test_only_categories_with_a_box_need_to_be_known(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 5, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "crack"}],
        "annotations": [{"image_id": 5, "category_id": 2, "bbox": [1, 2, 3, 4]}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    assert coco_boxes(tmp_path / "coco.json", CLASSES.index) == {"a.png": [((1, 2, 4, 6), 0)]}


def test_coco_without_categories_gives_boxes_without_class(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 5, "file_name": "a.png"}],
        "annotations": [{"image_id": 5, "bbox": [1, 2, 3, 4]}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    assert coco_boxes(tmp_path / "coco.json", CLASSES.index) == {"a.png": [((1, 2, 4, 6), None)]}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"images": []}, r"no 'annotations'"),
        ({"images": [], "annotations": [{"image_id": 3, "bbox": [0, 0, 1, 1]}]}, "no 3"),
        ({"images": [], "annotations": [{"image_id": 3, "bbox": [0, 0, 1]}]}, "not COCO JSON"),
    ],
)
def test_wrong_coco_is_told(tmp_path: Path, content: object, told: str) -> None:
    (tmp_path / "coco.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=told):
        coco_boxes(tmp_path / "coco.json", CLASSES.index)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"image,label\na.png\n", r"labels\.csv, line 2: no label"),
        (b"image,label\na.png,\xe9\n", "not a CSV file in UTF-8"),
        (b"image;label\na.png;crack\n", "lacks the column image, label"),
    ],
)
def test_wrong_labels_are_told(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(UserError, match=told):
        csv_labels(tmp_path / "labels.csv", CLASSES.index)


@pytest.mark.parametrize("box", ["30,10,5,15", "5,10,30,10", "nan,0,1,1"])
def test_boxes_without_area_are_told(tmp_path: Path, box: str) -> None:
    (tmp_path / "boxes.csv").write_text(f"image,x0,y0,x1,y1\na.png,{box}\n")
    with pytest.raises(UserError, match="line 2: a box needs x0 < x1 and y0 < y1"):
        csv_boxes(tmp_path / "boxes.csv", CLASSES.index)


@pytest.mark.parametrize(
    ("label", "told"),
    [("2", r"label 2: .* has the classes 0\.\.1"), ("dog", r"label dog: .* crack, no crack")],
)
def test_unknown_own_classes_are_told(tmp_path: Path, label: str, told: str) -> None:
    with pytest.raises(UserError, match=rf"labels, line 2: {told}"):
        folder(tmp_path, labels=f"image,label\na.png,{label}\n").load(0, 8)
    rows = f"a.png,1,1,9,9,crack\na.png,1,1,9,9,{label}"
    with pytest.raises(UserError, match=rf"boxes, line 3: {told}"):
        folder(tmp_path, boxes=f"image,x0,y0,x1,y1,label\n{rows}\n").load(0, 8)


def test_names_of_no_photo_are_told_beside_names_that_are(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"names 1 photos .*: photos/a\.png; names there are a\.png"
    ):
        folder(tmp_path, labels="image,label\nphotos/a.png,0\n").load(0, 8)


@pytest.mark.parametrize("bbox", ["[1, 2, NaN, 4]", "[1, 2, -3, 4]", "[1, 2, 1e999, 4]", "7"])
def test_coco_boxes_that_are_none_are_told_by_their_place(tmp_path: Path, bbox: str) -> None:
    right = '{"image_id": 5, "bbox": [1, 2, 0, 4]}'
    wrong = f'{{"image_id": 5, "bbox": {bbox}}}'
    images = '[{"id": 5, "file_name": "a.png"}]'
    text = f'{{"images": {images}, "annotations": [{right}, {wrong}]}}'
    (tmp_path / "coco.json").write_text(text)
    with pytest.raises(UserError, match=r"coco\.json: not COCO JSON \(annotations\[1\]: "):
        coco_boxes(tmp_path / "coco.json", CLASSES.index)


def test_json_that_nests_deeply_is_told(tmp_path: Path) -> None:
    (tmp_path / "coco.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match=r"coco\.json: not COCO JSON \("):
        coco_boxes(tmp_path / "coco.json", CLASSES.index)


def test_a_number_of_many_digits_is_no_index(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"label 9999.*: not in .*classes"):
        folder(tmp_path, labels=f"image,label\na.png,{'9' * 5000}\n").load(0, 8)


def test_a_pipe_of_boxes_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "boxes.csv")
    with pytest.raises(UserError, match=r"boxes\.csv: it is no file, but a pipe"):
        csv_boxes(tmp_path / "boxes.csv", CLASSES.index)


def test_many_classes_are_found_at_once(tmp_path: Path) -> None:
    names = [f"class {number}" for number in range(30_000)]
    (tmp_path / "names").write_text("\n".join(names))
    rows = "".join(f"a.png,{name}\n" for name in names[:15_000])
    some = folder(tmp_path, labels=f"image,label\n{rows}")
    many = replace(some, classes=str(tmp_path / "names"))
    assert many.label_sets == [list(range(15_000))]
