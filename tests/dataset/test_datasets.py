"""samples, folder and imagenet: names, labels and boxes."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from timm.data import ImageNetInfo

from genattr.dataset.imagenet_classes import class_index, class_names, synsets
from genattr.errors import BadPhotoError, UserError
from genattr.protocols import Dataset
from tests.conftest import photo_file
from tests.contract.options import built, compose_config


def dataset(option: str, *overrides: str) -> Dataset:
    cfg = compose_config(f"dataset={option}", *(f"dataset.{override}" for override in overrides))
    return built(cfg.dataset, "dataset")


def test_samples_all_load_with_class_box_and_credit() -> None:
    samples = dataset("samples")
    assert len(samples) == 6
    for index in range(6):
        sample = samples.load(index, 64)
        assert sample.image_id == samples.ids[index]
        assert sample.label is not None
        assert sample.boxes is not None
        assert 0 <= sample.boxes.min() <= sample.boxes.max() <= 64
        assert samples.entries[index]["credit"]
        assert samples.entries[index]["license"]
    for entry in samples.entries:
        assert class_names()[entry["label"]] == entry["name"]
    assert sum("crop" in entry for entry in samples.entries) == 2


def test_samples_are_cut_before_they_are_resized() -> None:
    samples = dataset("samples")
    rocket = samples.load(samples.ids.index("rocket"), 320)  # its crop is 320 x 320 at (160, 107)
    assert rocket.native_size == (320, 320)
    assert rocket.boxes.tolist() == [[150, 19, 178, 301]]


def test_datasets_import_nothing_heavy() -> None:
    heavy = {"timm", "torchvision", "skimage", "sklearn", "matplotlib"}
    code = (
        "import sys; from genattr.dataset import folder, imagenet, samples\n"
        "given = dict(preprocess='squash', resize=None, crop=None, interpolation='bicubic')\n"
        f"samples.Samples(**given).load(0, 8); print({heavy} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_imagenet_names() -> None:
    theirs = ImageNetInfo()
    assert list(synsets()) == theirs.label_names()
    assert list(class_names()) == [text.split(", ")[0] for text in theirs.label_descriptions()]
    assert class_index("n02123045") == class_index("Tabby cat") == 281
    with pytest.raises(UserError, match="crane: classes"):
        class_index("crane")
    with pytest.raises(UserError, match="unicorn: no class"):
        class_index("unicorn")


def test_folder_finds_photos_in_subfolders_by_path(tmp_path: Path) -> None:
    photo_file(tmp_path / "b.JPG")
    photo_file(tmp_path / "sub" / "a.png")
    (tmp_path / "notes.txt").write_text("no photo")
    folder = dataset("folder", f"root={tmp_path}")
    assert folder.ids == ["b.JPG", "sub/a.png"]
    sample = folder.load(1, 16)
    assert (sample.label, sample.boxes, sample.native_size) == (None, None, (20, 40))


def test_folder_does_not_follow_links_out_of_it(tmp_path: Path) -> None:
    photo_file(tmp_path / "inside" / "a.png")
    photo_file(tmp_path / "outside" / "b.png")
    (tmp_path / "inside" / "link").symlink_to(tmp_path / "outside", target_is_directory=True)
    assert dataset("folder", f"root={tmp_path / 'inside'}").ids == ["a.png"]


def test_folder_of_one_file(tmp_path: Path) -> None:
    path = photo_file(tmp_path / "only.png")
    assert dataset("folder", f"root={path}").ids == ["only.png"]


def test_labels_and_boxes_from_csv(tmp_path: Path) -> None:
    photo_file(tmp_path / "photos" / "a.png")
    photo_file(tmp_path / "photos" / "b.png")
    (tmp_path / "labels.csv").write_text("image,label\na.png,tabby\nb.png,7\n")
    (tmp_path / "boxes.csv").write_text("image,x0,y0,x1,y1\na.png,0,0,20,10\na.png,20,10,40,20\n")
    folder = dataset(
        "folder",
        f"root={tmp_path / 'photos'}",
        f"labels={tmp_path / 'labels.csv'}",
        f"boxes={tmp_path / 'boxes.csv'}",
    )
    first, second = folder.load(0, 40), folder.load(1, 40)
    assert (first.label, second.label) == (281, 7)
    assert first.boxes.tolist() == [[0, 0, 20, 20], [20, 20, 40, 40]]
    assert second.boxes is None


def coco(tmp_path: Path, categories: list[str]) -> Path:
    content = {
        "images": [{"id": 5, "file_name": "a.png"}],
        "categories": [{"id": i, "name": name} for i, name in enumerate(categories)],
        "annotations": [
            {"image_id": 5, "category_id": i, "bbox": [4 * i, 0, 8, 20]}
            for i in range(len(categories))
        ],
    }
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(content))
    return path


def test_coco_gives_boxes_and_the_label_that_they_agree_on(tmp_path: Path) -> None:
    photo_file(tmp_path / "a.png")
    folder = dataset("folder", f"root={tmp_path}", f"boxes={coco(tmp_path, ['tabby'])}")
    sample = folder.load(0, 40)
    assert (sample.label, sample.boxes.tolist()) == (281, [[0, 0, 8, 40]])


def test_coco_boxes_of_other_classes_do_not_count(tmp_path: Path) -> None:
    photo_file(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text("image,label\na.png,espresso\n")
    folder = dataset(
        "folder",
        f"root={tmp_path}",
        f"boxes={coco(tmp_path, ['tabby', 'espresso'])}",
        f"labels={tmp_path / 'labels.csv'}",
    )
    assert folder.load(0, 40).boxes.tolist() == [[4, 0, 12, 40]]


def test_own_class_names(tmp_path: Path) -> None:
    photo_file(tmp_path / "a.png")
    (tmp_path / "classes.txt").write_text("crack\nno crack\n")
    (tmp_path / "labels.csv").write_text("image,label\na.png,no crack\n")
    folder = dataset(
        "folder",
        f"root={tmp_path}",
        f"labels={tmp_path / 'labels.csv'}",
        f"classes={tmp_path / 'classes.txt'}",
    )
    assert folder.load(0, 8).label == 1


@pytest.mark.parametrize(
    ("files", "overrides", "told"),
    [
        ({}, ["root=null"], r"needs dataset\.root"),
        ({}, ["root={0}/nowhere"], r"nowhere: no such file"),
        ({}, ["root={0}"], r"no photo in it"),
        ({"a.png": ""}, ["root={0}", "labels={0}/l.csv"], r"labels=.*l\.csv: no such file"),
        (
            {"a.png": "", "l.csv": "image,label\n../a.png,1\nb.png,2\n"},
            ["root={0}", "labels={0}/l.csv"],
            r"names 2 photos that are not in .*\.\./a\.png, b\.png",
        ),
        (
            {"a.png": "", "l.csv": "name\n"},
            ["root={0}", "labels={0}/l.csv"],
            "lacks the column image",
        ),
        (
            {"a.png": "", "b.csv": "image,x0,y0,x1,y1\na.png,1,2,x,4\n"},
            ["root={0}", "boxes={0}/b.csv"],
            "line 2: a box needs four numbers",
        ),
        ({"a.png": "", "b.json": "[]"}, ["root={0}", "boxes={0}/b.json"], "not COCO JSON"),
    ],
)
def test_folder_tells_what_is_wrong(
    tmp_path: Path, files: dict[str, str], overrides: list[str], told: str
) -> None:
    for name, content in files.items():
        if name.endswith("png"):
            photo_file(tmp_path / name)
        else:
            (tmp_path / name).write_text(content)
    folder = dataset("folder", *(override.format(tmp_path) for override in overrides))
    with pytest.raises(UserError, match=told):
        folder.load(0, 8)


def test_classes_that_are_not_in_utf8_are_told(tmp_path: Path) -> None:
    photo_file(tmp_path / "a.png")
    (tmp_path / "l.csv").write_text("image,label\na.png,caf\u00e9\n", encoding="utf-8")
    (tmp_path / "classes.txt").write_bytes("caf\u00e9\n".encode("latin-1"))
    keys = [f"labels={tmp_path / 'l.csv'}", f"classes={tmp_path / 'classes.txt'}"]
    with pytest.raises(UserError, match=r"classes\.txt: not a text file in UTF-8 \(.*\)$"):
        _ = dataset("folder", f"root={tmp_path}", *keys).photo_labels


@pytest.mark.parametrize("alone", [False, True], ids=["among others", "alone"])
def test_names_that_are_not_in_utf8_are_written_as_text(tmp_path: Path, alone: bool) -> None:
    photo_file(tmp_path / "ok \u00e9.png")
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    try:
        shutil.copy(tmp_path / "ok \u00e9.png", odd)
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    (tmp_path / "labels.csv").write_text("image,label\ncaf\\xe9.png,3\n")
    folder = dataset("folder", f"root={tmp_path}", f"labels={tmp_path}/labels.csv")
    if alone:
        folder = dataclasses.replace(folder, root=str(odd))
    place = list(folder.ids).index("caf\\xe9.png")
    assert folder.load(place, 8).image_id == "caf\\xe9.png"
    assert folder.load(place, 8).label == 3


def test_two_photos_are_never_one_name(tmp_path: Path) -> None:
    photo_file(tmp_path / "caf\\xe9.png")
    odd = os.fsencode(tmp_path) + b"/caf\xe9.png"
    try:
        shutil.copy(tmp_path / "caf\\xe9.png", os.fsdecode(odd))
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    with pytest.raises(UserError, match=r"several photos have one name, written as text: caf"):
        _ = dataset("folder", f"root={tmp_path}").ids


def test_imagenets_kaggle_tree(kaggle_tree: Path) -> None:
    imagenet = dataset("imagenet", f"root={kaggle_tree}", "resize=null", "crop=null")
    assert imagenet.ids == ["one", "two", "zoo"]
    one, two = imagenet.load(0, 40), imagenet.load(1, 40)
    assert (one.label, two.label) == (1, 0)
    assert one.boxes.tolist() == [[0, 0, 20, 40]]  # annotated on 80 x 40, the photo is 40 x 20
    assert two.boxes.tolist() == [[0, 0, 20, 20], [20, 20, 40, 40]]


def test_imagenet_tells_what_is_missing(tmp_path: Path) -> None:
    trees = r"no photos of ImageNet in it; Kaggle's .* torchvision's .* the devkit's"
    with pytest.raises(UserError, match=trees):
        len(dataset("imagenet", f"root={tmp_path}"))
    (tmp_path / "ILSVRC/Data/CLS-LOC/val").mkdir(parents=True)
    with pytest.raises(UserError, match=r"no LOC_synset_mapping\.txt and no LOC_val_solution"):
        len(dataset("imagenet", f"root={tmp_path}"))


def test_a_broken_photo_of_imagenet_is_named(kaggle_tree: Path) -> None:
    (kaggle_tree / "ILSVRC/Data/CLS-LOC/val/one.JPEG").write_bytes(b"\xff\xd8")
    with pytest.raises(BadPhotoError, match=r"one\.JPEG"):
        dataset("imagenet", f"root={kaggle_tree}").load(0, 40)


def test_the_shared_photos(imagenet_val_300: Path) -> None:
    imagenet = dataset("imagenet", f"root={imagenet_val_300}", "resize=null", "crop=null")
    assert len(imagenet) == 300
    sample = imagenet.load(0, 227)
    assert sample.image_id == "ILSVRC2012_val_00000347"
    assert synsets()[sample.label] == "n02951358"
    assert sample.boxes[0].tolist() == [9, 106, 51, 178]
