"""Annotations of ImageNet that are not as they should be."""

from __future__ import annotations

from pathlib import Path

import pytest
from torchvision.models._meta import _IMAGENET_CATEGORIES

from genattr.dataset.imagenet import ImageNet
from genattr.dataset.imagenet_boxes import annotated_boxes, read_solution
from genattr.dataset.imagenet_classes import synsets
from genattr.errors import BadPhotoError, UserError
from tests.conftest import REPO
from tests.contract.options import built, compose_config

OBJECT = (
    "<object><name>n01443537</name><bndbox><xmin>{0}</xmin><ymin>0</ymin>"
    "<xmax>19</xmax><ymax>9</ymax></bndbox></object>"
)


def whole(root: Path) -> ImageNet:
    return ImageNet(
        root=str(root),
        annotations=None,
        synsets=None,
        preprocess="squash",
        resize=None,
        crop=None,
        interpolation="bicubic",
    )


@pytest.mark.parametrize("size", ["", "<size><width>0</width><height>0</height></size>"])
def test_an_annotation_without_size_is_in_the_photos_own_frame(tmp_path: Path, size: str) -> None:
    (tmp_path / "a.xml").write_text(f"<annotation>{size}{OBJECT.format(0)}</annotation>")
    assert annotated_boxes(tmp_path / "a.xml", "n01443537", 40, 20) == [(0, 0, 20, 10)]
    assert annotated_boxes(tmp_path / "a.xml", "n01440764", 40, 20) == []


@pytest.mark.parametrize(
    "text",
    [
        "<annotation>",
        *(f"<annotation>{OBJECT.format(xmin)}</annotation>" for xmin in ("x", "nan", "20", "-inf")),
    ],
)
def test_a_broken_annotation_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(BadPhotoError, match=r"a\.xml: not an annotation"):
        annotated_boxes(tmp_path / "a.xml", "n01443537", 40, 20)


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("LOC_synset_mapping.txt", "n01440764 tench\n", "no n01443537, as one is"),
        ("LOC_val_solution.csv", "ImageId,PredictionString\n", "has no line for one"),
        (
            "LOC_val_solution.csv",
            "ImageId,PredictionString\none,n01443537 1 2 3 x\n",
            "line 2: a box needs four numbers",
        ),
        ("LOC_val_solution.csv", "ImageId,PredictionString\none,\n", "line 2: no PredictionString"),
        ("LOC_val_solution.csv", "one,n01443537 1 2 3 4\n", "lacks the column ImageId"),
    ],
)
def test_a_gap_in_the_lists_is_told(kaggle_tree: Path, file: str, content: str, told: str) -> None:
    (kaggle_tree / file).write_text(content)
    with pytest.raises(UserError, match=told):
        whole(kaggle_tree).load(0, 8)


@pytest.mark.parametrize(
    ("boxes", "told"),
    [
        ("n01443537 1 2 3", "each box needs a synset and four numbers"),
        ("n01443537 1 2 3 4 n01443537 5", "each box needs a synset and four numbers"),
        ("n01443537 1 2 3 4 5 n01443537 6 7 8", "a box needs four numbers, .*: n01443537 6 7 8"),
        ("n01443537 nan 2 3 4", r"a box needs four numbers, .*: nan 2 3 4"),
        ("n01443537 1 2 inf 4", r"a box needs four numbers, .*: 1 2 inf 4"),
        ("n01443537 4 2 3 4", r"a box needs .* xmin <= xmax and ymin <= ymax: 4 2 3 4"),
        ("n01443537 1 2 3 4 n01440764 1 5 3 4", r"a box needs .* ymin <= ymax: 1 5 3 4"),
    ],
)
def test_a_wrong_box_in_the_table_is_told_with_its_line(
    kaggle_tree: Path, boxes: str, told: str
) -> None:
    table = kaggle_tree / "LOC_val_solution.csv"
    table.write_text(f"ImageId,PredictionString\ntwo,n01440764 0 0 0 0\none,{boxes}\n")
    with pytest.raises(UserError, match=rf"LOC_val_solution\.csv, line 3: {told}$"):
        read_solution(table)


def test_a_lone_synset_is_a_photo_without_boxes(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("ImageId,PredictionString\none,n01443537\ntwo,n01440764 3 4 3 4\n")
    expected = {"one": ("n01443537", []), "two": ("n01440764", [(3, 4, 4, 5)])}
    assert read_solution(table) == expected


def test_a_list_of_classes_that_is_not_in_utf8_is_told(kaggle_tree: Path) -> None:
    (kaggle_tree / "LOC_synset_mapping.txt").write_bytes(b"n01443537 poisson dor\xe9\n")
    with pytest.raises(UserError, match=r"LOC_synset_mapping\.txt: not a text file in UTF-8 \("):
        _ = whole(kaggle_tree).ids


def test_a_tree_without_annotations_falls_back_to_the_solution(kaggle_tree: Path) -> None:
    (kaggle_tree / "ILSVRC/Annotations/CLS-LOC/val/one.xml").unlink()
    sample = whole(kaggle_tree).load(0, 40)  # the photo is 40 x 20; 1 2 3 4, both ends inside
    assert sample.boxes.tolist() == [[1, 4, 4, 10]]


def test_every_shared_photo_has_its_class_and_boxes(imagenet_val_300: Path) -> None:
    imagenet = whole(imagenet_val_300)
    for index in range(0, 300, 10):
        sample = imagenet.load(index, 32)
        assert 0 <= sample.label < 1000
        assert len(sample.boxes) >= 1
        assert sample.native_size == (227, 227)


def test_the_birds_are_the_59_of_imagenet_1k_named_as_torchvision_does() -> None:
    lines = (REPO / "conf/dataset/imagenet_birds.yaml").read_text().splitlines()
    listed = [line[4:].split(maxsplit=1) for line in lines if line.startswith("  - n0")]
    assert len(listed) == 59
    for synset, note in listed:
        index, name = note.removeprefix("# ").split(maxsplit=1)
        assert synsets()[int(index)] == synset
        assert _IMAGENET_CATEGORIES[int(index)] == name
    indices = [synsets().index(synset) for synset, _ in listed]
    assert indices == [*range(7, 25), *range(80, 101), *range(127, 147)]


def test_the_birds_are_imagenet_but_for_the_synsets(kaggle_tree: Path) -> None:
    root = f"dataset.root={kaggle_tree}"
    everything, birds = (
        compose_config(f"dataset={name}", root).dataset for name in ("imagenet", "imagenet_birds")
    )
    assert dict(birds) | {"synsets": None} == dict(everything)
    assert built(birds, "dataset").ids == ["zoo"]
