"""Boxes of every kind of file and in every convention, and boxes that lie outside their photo."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from genattr.dataset.annotations import csv_boxes
from genattr.dataset.boxes import COLUMNS
from genattr.dataset.folder import Folder
from genattr.errors import UserError
from tests.conftest import photo_file

CORNERS = [4, 2, 24, 12]  # of one box in a photo of 40 x 20
ORDERS = {"xyxy": (4, 2, 24, 12), "xywh": (4, 2, 20, 10), "cxcywh": (14, 7, 20, 10)}


def shares(numbers: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(number / side for number, side in zip(numbers, (40, 20, 40, 20), strict=True))


def folder(root: Path, boxes: str, **keys: object) -> Folder:
    """Return the photos in root/photos with the boxes in root/<boxes>."""
    if not (root / "photos").exists():
        photo_file(root / "photos" / "a.png")
    given = {"box_format": None, "box_units": None, "labels": None, "classes": None} | keys
    plain = {"preprocess": "squash", "resize": None, "crop": None, "interpolation": "bicubic"}
    return Folder(root=str(root / "photos"), boxes=str(root / boxes), **given, **plain)


def native(dataset: Folder, index: int = 0) -> list[list[float]] | None:
    """Return a photo's boxes in the pixels of a photo of 40 x 20."""
    sample = dataset.load(index, 40)
    if sample.boxes is None:
        return None
    return [[x0, y0 / 2, x1, y1 / 2] for x0, y0, x1, y1 in sample.boxes.tolist()]


def table(root: Path, numbers: tuple[float, ...], columns: str = "x0,y0,x1,y1") -> str:
    line = ",".join(map(str, numbers))
    (root / "boxes.csv").write_text(f"image,{columns}\na.png,{line}\n")
    return "boxes.csv"


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("units", ["pixels", "relative"])
@pytest.mark.parametrize("kind", ["csv", "coco", "yolo"])
def test_a_stated_convention_wins(tmp_path: Path, order: str, units: str, kind: str) -> None:
    numbers = ORDERS[order] if units == "pixels" else shares(ORDERS[order])
    if kind == "csv":
        name = table(tmp_path, numbers)
    elif kind == "coco":
        coco = {
            "images": [{"id": 1, "file_name": "a.png"}],
            "annotations": [{"image_id": 1, "bbox": numbers}],
        }
        name = "coco.json"
        (tmp_path / name).write_text(json.dumps(coco))
    else:
        name = "yolo"
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(f"3 {' '.join(map(str, numbers))}\n")
    dataset = folder(tmp_path, name, box_format=order, box_units=units)
    assert native(dataset)[0] == pytest.approx(CORNERS)


@pytest.mark.parametrize(
    ("order", "columns"), [(order, names) for order, sets in COLUMNS.items() for names in sets]
)
def test_names_of_columns_say_what_the_numbers_are(
    tmp_path: Path, order: str, columns: tuple[str, ...]
) -> None:
    name = table(tmp_path, ORDERS[order], ",".join(columns))
    assert native(folder(tmp_path, name)) == [CORNERS]


def test_a_stated_format_chooses_among_columns(tmp_path: Path) -> None:
    columns = "x0,y0,x1,y1,x,y,w,h"
    name = table(tmp_path, (4, 2, 24, 12, 5, 2, 20, 10), columns)
    assert native(folder(tmp_path, name)) == [CORNERS]
    assert native(folder(tmp_path, name, box_format="xywh")) == [[5, 2, 25, 12]]


def test_unknown_columns_are_told_with_those_that_are_known(tmp_path: Path) -> None:
    table(tmp_path, (1, 2, 3, 4), "a,b,c,d")
    known = "x0,y0,x1,y1 or x,y,width,height or cx,cy,w,h"
    with pytest.raises(UserError, match=rf"boxes\.csv lacks the columns of a box: {known}$"):
        csv_boxes(tmp_path / "boxes.csv", int)


def test_a_table_of_no_rows_has_no_boxes(tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text("image,x0,y0,x1,y1\n")
    dataset = folder(tmp_path, "boxes.csv")
    assert not dataset.has_boxes
    assert native(dataset) is None


@pytest.mark.parametrize(
    ("numbers", "keys", "told"),
    [
        (
            shares(CORNERS),
            {},
            r"=.*boxes\.csv: all 1 boxes are smaller .*box_units=relative\?.*box_f",
        ),
        (shares(CORNERS), {"box_units": "pixels"}, r"dataset\.box_units=relative\?"),
        ((-0.02, 0, 1.03, 1), {}, r"dataset\.box_units=relative\?"),
        (
            CORNERS,
            {"box_units": "relative"},
            r"1 of 1 boxes are no .* 4 2 24 12: .*=pixels\?.*box_f",
        ),
        ((24, 2, 20, 10), {}, r"line 2: .*, unlike 24 2 20 10 as dataset\.box_format=xyxy"),
        ((4, 2, -20, 10), {"box_format": "xywh"}, r"line 2: a box needs .*=xywh$"),
        ((0, 0, "inf", 10), {}, r"line 2: a box needs"),
    ],
)
def test_other_units_and_formats_are_refused_in_one_line(
    tmp_path: Path, numbers: tuple[float, ...], keys: dict[str, str], told: str
) -> None:
    dataset = folder(tmp_path, table(tmp_path, numbers), **keys)
    with pytest.raises(UserError, match=told) as caught:
        dataset.load(0, 8)
    assert "\n" not in str(caught.value)


def test_one_small_box_among_others_is_no_share(tmp_path: Path) -> None:
    text = "image,x0,y0,x1,y1\na.png,0,0,1,1\na.png,4,2,24,12\n"
    (tmp_path / "boxes.csv").write_text(text)
    assert native(folder(tmp_path, "boxes.csv")) == [[0, 0, 1, 1], CORNERS]


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ((560, 5, 880, 8), "1 of 1 boxes outside its 40 x 20 pixels, such as 560 5 880 8"),
        ((-9, 1, 0, 5), "1 of 1 boxes outside its 40 x 20 pixels"),
        ((30, 2, 50, 12), "1 of 1 boxes sticking out of its 40 x 20 pixels, such as 30 2 50 12"),
        ((2, 4, 12, 24), "1 of 1 boxes sticking out of"),  # before a turn by 90 degrees
    ],
)
def test_boxes_outside_are_told_once_by_name_and_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, numbers: tuple[float, ...], told: str
) -> None:
    dataset = folder(tmp_path, table(tmp_path, numbers))
    for _ in range(2):
        sample = dataset.load(0, 40)
    (record,) = caplog.records
    assert record.message.startswith(f"dataset.boxes={tmp_path}/boxes.csv: a.png: {told}")
    assert (sample.boxes is None) == ("outside" in told)
    assert record.message.endswith("; it counts as without boxes") == ("outside" in told)


def test_what_is_outside_beside_others_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    boxes = ("4,2,24,12", "90,0,99,9", "30,0,60,9", "50,0,60,9")
    lines = "".join(f"a.png,{box}\n" for box in boxes)
    (tmp_path / "boxes.csv").write_text(f"image,x0,y0,x1,y1\n{lines}")
    assert native(folder(tmp_path, "boxes.csv")) == [CORNERS, [30, 0, 40, 9]]
    told = "2 of 4 boxes outside and 1 of 4 boxes sticking out of its 40 x 20 pixels"
    assert told in caplog.records[0].message
    assert "without" not in caplog.records[0].message


def test_roundings_at_the_edge_are_not_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = table(tmp_path, (-1, -2, 41, 22))
    assert native(folder(tmp_path, name)) == [[0, 0, 40, 20]]
    photo_file(tmp_path / "photos" / "a.png", (1000, 500))
    name = table(tmp_path, (-9, 0, 1009, 505))
    folder(tmp_path, name).load(0, 40)
    assert not caplog.records


def test_boxes_are_of_the_upright_photo(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise: the upright photo is 40 x 20
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (20, 40), "teal").save(tmp_path / "photos" / "a.png", exif=exif)
    numbers = shares(ORDERS["cxcywh"])
    (tmp_path / "yolo").mkdir()
    (tmp_path / "yolo" / "a.txt").write_text(f"0 {' '.join(map(str, numbers))}")
    assert native(folder(tmp_path, "yolo"))[0] == pytest.approx(CORNERS)
    (tmp_path / "voc").mkdir()
    (tmp_path / "voc" / "a.xml").write_text(voc(("3", (4, 2, 12, 24)), size=(20, 40)))
    folder(tmp_path, "voc").load(0, 40)
    told = "a.png: its boxes are of 20 x 40 pixels, and the upright photo has 40 x 20"
    assert told in caplog.text


def test_a_folder_of_text_is_yolos(tmp_path: Path) -> None:
    for name in ("a.png", "b.jpg", "sub/c.png"):
        photo_file(tmp_path / "photos" / name)
    labels = tmp_path / "labels"
    (labels / "sub").mkdir(parents=True)
    first = " ".join(map(str, shares(ORDERS["cxcywh"])))
    (labels / "a.txt").write_text(f"7 {first}\n\n7 0.5 0.5 1 1\n")
    (labels / "b.txt").write_text("")  # nothing is on it
    (labels / "sub" / "c.txt").write_text(f"2 {first}\n")
    (labels / "classes.txt").write_text("crack\nno crack\n")  # LabelImg's own
    (labels / ".a.txt").write_text("hidden")
    dataset = folder(tmp_path, "labels")
    assert dataset.ids == ["a.png", "b.jpg", "sub/c.png"]
    assert list(dataset.photo_labels) == [7, None, 2]
    assert native(dataset) == [pytest.approx(CORNERS), [0, 0, 40, 20]]
    assert native(dataset, 1) is None
    assert native(dataset, 2) == [pytest.approx(CORNERS)]


def test_files_may_lie_beside_their_photos(tmp_path: Path) -> None:
    photo_file(tmp_path / "photos" / "a.png")
    (tmp_path / "photos" / "a.txt").write_text("1 0.5 0.5 0.5 0.5")
    (tmp_path / "photos" / "notes.txt").write_text("taken in 2019")
    assert native(folder(tmp_path, "photos")) == [[10, 5, 30, 15]]


def voc(
    *things: tuple[str, tuple[float, ...]], size: tuple[int, int] | None = (40, 20), head: str = ""
) -> str:
    objects = "".join(
        f"<object><name>{name}</name><part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
        f"<bndbox><ymin>{y0}</ymin><xmin>{x0}</xmin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox>"
        "</object>"
        for name, (x0, y0, x1, y1) in things
    )
    sides = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>" if size else ""
    return f"{head}<annotation><filename>x.jpg</filename>{sides}{objects}</annotation>"


def test_a_folder_of_xml_is_pascal_vocs(tmp_path: Path) -> None:
    (tmp_path / "voc").mkdir()
    (tmp_path / "classes").write_text("dog\ncat\n")
    classes = str(tmp_path / "classes")
    text = voc(("cat", (4, 2, 23, 11)))  # both ends inside
    (tmp_path / "voc" / "a.xml").write_text(text)
    dataset = folder(tmp_path, "voc", classes=classes)
    assert (list(dataset.photo_labels), native(dataset)) == ([1], [CORNERS])
    double = voc(("cat", (8, 4, 47, 23)), size=(80, 40))  # annotated twice as large
    (tmp_path / "voc" / "a.xml").write_text(double)
    assert native(folder(tmp_path, "voc", classes=classes)) == [CORNERS]
    (tmp_path / "voc" / "a.xml").write_text(voc(("cat", shares(CORNERS)), size=(80, 40)))
    relative = folder(tmp_path, "voc", classes=classes, box_units="relative")
    assert native(relative)[0] == pytest.approx(CORNERS)
    (tmp_path / "voc" / "a.xml").write_text(voc(("cat", (4, 2, 23, 11)), size=None))
    assert native(folder(tmp_path, "voc", classes=classes)) == [CORNERS]


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("files", "keys", "told"),
    [
        ({}, {}, r"boxes: neither \*\.txt nor \*\.xml in it"),
        ({"classes.txt": "dog\n"}, {}, r"boxes: no file in it is named as a photo"),
        ({"b.txt": "0 0.5 0.5 1 1"}, {}, r"names 1 photos that are not in .*: b\.txt; .* a\.png"),
        ({"b.xml": voc(("1", (1, 2, 3, 4)))}, {}, r"names 1 photos .*: b\.xml; names there are a"),
        (
            {"a.txt": "0 0.5 0.5 1"},
            {},
            r"a\.txt: not the boxes .* \(line 1: '0 0.5 0.5 1' is not l",
        ),
        ({"a.txt": "0 0.5 0.5 1 1 1 1"}, {}, r"a\.txt: not the boxes of a photo"),
        ({"a.txt": "dog 0.5 0.5 1 1"}, {}, r"a\.txt: not the boxes of a photo"),
        ({"a.txt": "0 0.5 0.5 -1 1"}, {}, r"a\.txt: not .* \(line 1: a box needs x0 < x1"),
        (
            {"a.txt": "0 14 7 20 10"},
            {},
            r"1 of 1 boxes are no shares .*dataset\.box_units=pixels\?",
        ),
        ({"a.xml": "<annotation>"}, {}, r"a\.xml: not the boxes of a photo \(no element found"),
        ({"a.xml": voc(("1", (9, 2, 3, 4)))}, {}, r"a\.xml: not .*xmin <= xmax"),
        ({"a.xml": voc(head=LAUGHS)}, {}, r"a\.xml: not .*\(it declares a document type\)"),
        ({"a.xml": voc(("1", (0.1, 0.2, 0.3, 0.4)))}, {}, r"box_units=relative\?"),
        ({"a.xml": voc()}, {"box_format": "xywh"}, r"box_format=xywh: XML has corners"),
        ({"a.xml": voc(), "a.txt": ""}, {}, r"=.*: both \*\.txt and \*\.xml of photos"),
    ],
)
def test_folders_that_are_wrong_are_told_in_one_line(
    tmp_path: Path, files: dict[str, str], keys: dict[str, str], told: str
) -> None:
    (tmp_path / "boxes").mkdir()
    for name, text in files.items():
        (tmp_path / "boxes" / name).write_text(text)
    with pytest.raises(UserError, match=told) as caught:
        folder(tmp_path, "boxes", **keys).load(0, 8)
    assert "\n" not in str(caught.value)


def test_a_file_of_two_photos_is_refused(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg"):
        photo_file(tmp_path / "photos" / name)
    (tmp_path / "yolo").mkdir()
    (tmp_path / "yolo" / "a.txt").write_text("0 0.5 0.5 1 1")
    with pytest.raises(UserError, match=r"a\.txt: which photo is it of, a\.jpg or a\.png\?"):
        folder(tmp_path, "yolo").load(0, 8)
    (tmp_path / "yolo" / "a.txt").rename(tmp_path / "yolo" / "a.png.txt")
    assert native(folder(tmp_path, "yolo"), 1) == [[0, 0, 40, 20]]


def test_entities_do_not_grow(tmp_path: Path) -> None:
    entities = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(20))
    bomb = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "ha">{entities}]><x>&e20;</x>'
    (tmp_path / "boxes").mkdir()
    for encoding in ("utf-8", "utf-16"):
        (tmp_path / "boxes" / "a.xml").write_text(bomb, encoding=encoding)
        with pytest.raises(UserError, match="declares a document type"):
            folder(tmp_path, "boxes").load(0, 8)
