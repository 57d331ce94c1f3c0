"""The same photos in Kaggle's, torchvision's and the devkit's layout are the same samples."""

from __future__ import annotations

import csv
import random
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torchvision.datasets import imagenet as torchvision_imagenet

from genattr.dataset.imagenet import ImageNet
from genattr.dataset.imagenet_classes import synsets
from genattr.errors import UserError
from genattr.types import Sample
from tests.contract.options import built, compose_config

DEVKIT = "ILSVRC2012_devkit_t12/data"
META, TRUTH = f"{DEVKIT}/meta.mat", f"{DEVKIT}/ILSVRC2012_validation_ground_truth.txt"
KAGGLE, BOXES = "ILSVRC/Data/CLS-LOC/val", "ILSVRC/Annotations/CLS-LOC/val"
GOLDFISH, TENCH, ROBIN = "n01443537", "n01440764", "n01558993"  # classes 1, 0 and 15
PHOTOS = {1: ROBIN, 2: TENCH, 3: GOLDFISH, 4: ROBIN}


def imagenet(root: Path, *overrides: str) -> ImageNet:
    whole = ("dataset.resize=null", "dataset.crop=null", f"dataset.root={root}")
    cfg = compose_config("dataset=imagenet", *whole, *overrides)
    return built(cfg.dataset, "dataset")


def name_of(number: int) -> str:
    return f"ILSVRC2012_val_{number:08d}"


def copy(path: Path, link: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(path, target_is_directory=path.is_dir())


def write_devkit(root: Path, photos: dict[int, str]) -> None:
    """Write the devkit's two files for numbered photos of these synsets; ids are not sorted."""
    ids = dict(zip(random.Random(0).sample(synsets(), 1000), range(1, 1001), strict=True))
    inner = {"n00001740": 1001, "n00001930": 1002}  # above the classes, with children
    kinds = [("ILSVRC2012_ID", object), ("WNID", object), ("words", object), ("gloss", object)]
    kinds += [("num_children", object), ("children", object), ("wordnet_height", object)]
    rows = [(i, wnid, "a, b", "c", 0, np.empty(0), 0) for wnid, i in ids.items()]
    rows += [(i, wnid, "thing", "d", 2, np.array([1, 2]), 9) for wnid, i in inner.items()]
    (root / DEVKIT).mkdir(parents=True)
    savemat(root / META, {"synsets": np.array(rows, dtype=kinds).reshape(-1, 1)})
    numbers = [ids[photos.get(number, TENCH)] for number in range(1, max(photos) + 1)]
    (root / TRUTH).write_text("".join(f"{number}\n" for number in numbers))


def write_xml(file: Path, synset: str, left: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    box = f"<xmin>{left}</xmin><ymin>2</ymin><xmax>29</xmax><ymax>14</ymax>"
    things = "".join(
        f"<object><name>{name}</name><bndbox>{box}</bndbox></object>" for name in (synset, "n02")
    )
    size = "<size><width>40</width><height>20</height></size>"
    file.write_text(f"<annotation>{size}{things}</annotation>")


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Four photos in the devkit's tree, with XML annotations and the table of boxes."""
    root = tmp_path / "flat"
    lines = ["ImageId,PredictionString"]
    for number, synset in PHOTOS.items():
        file = root / "ILSVRC2012_img_val" / f"{name_of(number)}.JPEG"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((40, 20), 50 * number).convert("RGB").save(file)
        write_xml(root / f"ILSVRC2012_bbox_val_v3/val/{file.stem}.xml", synset, number)
        lines.append(f"{file.stem},{synset} {number} 2 29 14 ")
    (root / "LOC_val_solution.csv").write_text("\n".join(lines))
    write_devkit(root, PHOTOS)
    return root


@pytest.fixture
def folders(flat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same photos as torchvision itself sorts them into folders, from the two archives."""
    root = tmp_path / "folders"
    root.mkdir()
    monkeypatch.setattr(torchvision_imagenet, "_verify_archive", lambda *_: None)
    for archive, inside in (("val", "ILSVRC2012_img_val"), ("devkit_t12", DEVKIT)):
        kind = "ILSVRC2012_img_val.tar" if archive == "val" else "ILSVRC2012_devkit_t12.tar.gz"
        with tarfile.open(root / kind, "w:gz" if kind.endswith("gz") else "w") as tar:
            for file in sorted((flat / inside).iterdir()):
                tar.add(file, file.name if archive == "val" else file.relative_to(flat))
    torchvision_imagenet.parse_devkit_archive(root)
    monkeypatch.setattr(torchvision_imagenet, "check_integrity", lambda *_: True)
    torchvision_imagenet.parse_val_archive(root)
    return root


def samples(photos: ImageNet, size: int = 40) -> list[Sample]:
    return [photos.load(index, size) for index in range(len(photos))]


def assert_equal(found: ImageNet, expected: ImageNet) -> None:
    assert found.ids == expected.ids
    assert found.photo_labels == expected.photo_labels
    assert found.has_boxes == expected.has_boxes
    for one, other in zip(samples(found), samples(expected), strict=True):
        assert (one.image_id, one.label) == (other.image_id, other.label)
        assert torch.equal(one.boxes, other.boxes)
        assert torch.equal(one.image, other.image)


def test_the_devkits_tree(flat: Path) -> None:
    photos = imagenet(flat)
    assert photos.ids == [name_of(number) for number in PHOTOS]
    assert photos.photo_labels == [15, 0, 1, 15]
    assert photos.has_boxes
    boxes = [sample.boxes.tolist() for sample in samples(photos)]
    assert boxes == [[[number, 4, 30, 30]] for number in PHOTOS]  # 40 x 20 to 40 x 40


@pytest.mark.parametrize("place", ["val", "."])
def test_flat_photos_may_lie_elsewhere(flat: Path, tmp_path: Path, place: str) -> None:
    root = tmp_path / "elsewhere"
    for part in ("ILSVRC2012_devkit_t12", "ILSVRC2012_bbox_val_v3"):
        copy(flat / part, root / part)
    for file in (flat / "ILSVRC2012_img_val").iterdir():
        copy(file, root / place / file.name)
    assert_equal(imagenet(root), imagenet(flat))


def test_torchvisions_own_tree_has_the_same_samples(flat: Path, folders: Path) -> None:
    assert not imagenet(folders).has_boxes
    assert samples(imagenet(folders))[0].boxes is None
    for key in ("ILSVRC2012_bbox_val_v3/val", "ILSVRC2012_bbox_val_v3", "LOC_val_solution.csv"):
        assert_equal(imagenet(folders, f"dataset.annotations={flat / key}"), imagenet(flat))
    for file in (flat / "ILSVRC2012_bbox_val_v3/val").iterdir():
        copy(file, folders / "val" / file.name)  # where the archive of boxes unpacks to
    assert_equal(imagenet(folders), imagenet(flat))


def test_kaggles_tree_has_the_same_samples(flat: Path, tmp_path: Path) -> None:
    root = tmp_path / "kaggle"
    copy(flat / "ILSVRC2012_img_val", root / KAGGLE)
    copy(flat / "LOC_val_solution.csv", root / "LOC_val_solution.csv")
    (root / "LOC_synset_mapping.txt").write_text("".join(f"{name} x\n" for name in synsets()))
    assert_equal(imagenet(root), imagenet(flat))
    copy(flat / "ILSVRC2012_bbox_val_v3/val", root / BOXES)
    assert_equal(imagenet(root), imagenet(flat))


def test_a_subset_of_folders_keeps_its_indices(folders: Path) -> None:
    for file in (folders / "val" / TENCH).iterdir():
        file.unlink()
    (folders / "val" / TENCH).rmdir()
    assert imagenet(folders).photo_labels == [15, 1, 15]


def test_synsets_choose_photos(flat: Path, folders: Path) -> None:
    for root in (flat, folders):
        photos = imagenet(root, f"dataset.synsets=[{ROBIN}]")
        assert photos.ids == [name_of(1), name_of(4)]
        assert [sample.label for sample in samples(photos)] == [15, 15]


def test_the_shared_photos_in_three_trees(imagenet_val_300: Path, tmp_path: Path) -> None:
    with (imagenet_val_300 / "LOC_val_solution.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    synset = {row["ImageId"]: row["PredictionString"].split()[0] for row in rows}
    files = sorted((imagenet_val_300 / KAGGLE).iterdir())
    for file in files:
        copy(file, tmp_path / "folders" / "val" / synset[file.stem] / file.name)
        copy(file, tmp_path / "flat" / file.name)
    copy(imagenet_val_300 / BOXES, tmp_path / "folders" / "ILSVRC2012_bbox_val_v3")
    copy(imagenet_val_300 / "LOC_val_solution.csv", tmp_path / "flat" / "LOC_val_solution.csv")
    write_devkit(tmp_path / "flat", {int(f.stem[-8:]): synset[f.stem] for f in files})
    kaggle = imagenet(imagenet_val_300)
    assert len(kaggle) == 300
    for root in ("folders", "flat"):
        found = imagenet(tmp_path / root)
        assert (found.ids, found.photo_labels) == (kaggle.ids, kaggle.photo_labels)
        for one, other in zip(samples(found, 227), samples(kaggle, 227), strict=True):
            assert (one.image_id, one.label) == (other.image_id, other.label)
            assert torch.equal(one.boxes, other.boxes)


def test_folders_of_no_class_are_told(folders: Path) -> None:
    (folders / "val" / TENCH).rename(folders / "val" / "n09999999")
    with pytest.raises(UserError, match=r"ImageNet-1k has no n09999999, as .*00000002 is"):
        _ = imagenet(folders).photo_labels


def test_a_photo_in_two_folders_is_told(folders: Path) -> None:
    one = folders / "val" / TENCH / f"{name_of(2)}.JPEG"
    copy(one, folders / "val" / ROBIN / one.name)
    with pytest.raises(UserError, match=rf"the same photo twice: .*{TENCH}/.* and .*{ROBIN}/"):
        _ = imagenet(folders).ids


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        (TRUTH, None, r"no \S*validation_ground_truth\.txt in it; Kaggle's tree has"),
        (META, None, r"no \S*meta\.mat in it; Kaggle's tree has"),
        (META, "text", r"meta\.mat: not the devkit's table of synsets"),
        (TRUTH, "1\n2\nx\n4\n", "one number a line, not x"),
        (TRUTH, "1\n2\n", r"photo \S*00000003: \S* has the classes of \S*1 to \S*00000002"),
        (TRUTH, "1\n2\n3\n1003\n", r"no class 1003, as \S*00000004 is"),
        (TRUTH, "1\n2\n3\n1001\n", r"ImageNet-1k has no n00001740, as \S*00000004 is"),
    ],
)
def test_a_wrong_devkit_is_told(flat: Path, file: str, content: str | None, told: str) -> None:
    (flat / file).unlink()
    if content is not None:
        (flat / file).write_text(content)
    with pytest.raises(UserError, match=told):
        _ = imagenet(flat).photo_labels


def test_a_photo_without_number_is_told(flat: Path) -> None:
    photos = flat / "ILSVRC2012_img_val"
    (photos / f"{name_of(2)}.JPEG").rename(photos / "cat.JPEG")
    with pytest.raises(UserError, match=r"photo cat: .* ILSVRC2012_val_00000001 to"):
        _ = imagenet(flat).ids


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("dataset.root=/nowhere/at/all", r"dataset\.root=/nowhere/at/all: no such folder"),
        ("dataset.root=null", r"needs dataset\.root"),
        ("dataset.annotations=/nowhere", r"dataset\.annotations=/nowhere: neither a folder with"),
        ("dataset.synsets=[n01440764,n0]", r"dataset\.synsets: n0 is no class of ImageNet-1k"),
        ("dataset.synsets=[n0,n1,n2,n3]", r"dataset\.synsets: n0, n1, n2 and 1 more is no class"),
        ("dataset.synsets=[]", r"dataset\.synsets=\[\]: give at least one"),
        ("dataset.synsets=n01440764", r"dataset\.synsets=n01440764: it should be a valid"),
        ("dataset.synsets=[n01484850]", r"no photo of dataset\.synsets in it"),
    ],
)
def test_wrong_keys_are_told(flat: Path, override: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        _ = imagenet(flat, override).has_boxes
