"""What a run reads: every change is noticed, and named; nothing else is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from genattr.memory import Room
from genattr.method.masks import Masks
from genattr.metric.base import Metric
from genattr.protocols import Dataset
from genattr.run import inputs, selection
from genattr.run.inputs import changes, digest
from genattr.run.study import Study
from genattr.types import Sample
from tests.conftest import ConstantFiller, LinearClassifier, photo, photo_file
from tests.contract.options import built, compose_config
from tests.method.test_sp import sp

CLASSIFIER = LinearClassifier(torch.zeros(3, 8, 8))


def study(*overrides: str, **parts: object) -> Study:
    """Return a run of a tiny classifier, with the dataset and selection that are asked for."""
    cfg = compose_config(*overrides)
    values = {
        "cfg": cfg,
        "dataset": built(cfg.dataset, "dataset"),
        "classifier": CLASSIFIER,
        "filler": ConstantFiller(),
        "method": sp(4, 4),
        "metrics": {},
        "tracking": None,
        "store": None,
        "engine": None,
        "device": torch.device("cpu"),
        "devices": [torch.device("cpu")],
    }
    return Study(**(values | parts))


def changed_by(change: Callable[[], object], *overrides: str, **parts: object) -> list[str]:
    """Return the names of the inputs that a change changes."""
    before = digest(study(*overrides, **parts))
    change()
    return list(changes(before, digest(study(*overrides, **parts))))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photos with labels, boxes and classes."""
    for name in ("a", "b", "c"):
        photo_file(tmp_path / "photos" / f"{name}.png")
    (tmp_path / "labels.csv").write_text("image,label\na.png,0\n")
    (tmp_path / "boxes.csv").write_text("image,x0,y0,x1,y1\na.png,1,2,3,4\n")
    (tmp_path / "classes.txt").write_text("no\nyes\n")
    return tmp_path


def of_folder(folder: Path) -> list[str]:
    files = {"labels": "labels.csv", "boxes": "boxes.csv", "classes": "classes.txt"}
    given = [f"dataset.{key}={folder / name}" for key, name in files.items()]
    return ["dataset=folder", f"dataset.root={folder / 'photos'}", *given]


def test_a_folder_of_boxes_is_an_input(folder: Path) -> None:
    (folder / "boxes").mkdir()
    page = folder / "boxes" / "a.txt"
    page.write_text("0 0.5 0.5 0.2 0.2\n")
    overrides = [*of_folder(folder), f"dataset.boxes={folder / 'boxes'}"]
    change = lambda: page.write_text("0 0.5 0.5 0.4 0.4\n")  # noqa: E731
    assert changed_by(change, *overrides) == ["labels, boxes or classes"]


def repaint(path: Path, color: str = "red") -> None:
    """Write another photo of the same size and time."""
    times = path.stat()
    Image.new("RGB", (40, 20), color).save(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_a_photo_with_another_content_is_noticed_even_of_equal_time_and_size(folder: Path) -> None:
    file = photo_file(folder / "photos" / "d.bmp")
    other = photo_file(folder / "other.bmp")
    repaint(other, "gold")
    assert other.stat().st_size == file.stat().st_size
    times = file.stat()

    def put() -> None:
        shutil.copyfile(other, file)
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))

    assert changed_by(put, *of_folder(folder)) == ["photos"]


@pytest.mark.parametrize("name", ["labels.csv", "boxes.csv", "classes.txt"])
def test_other_labels_boxes_and_classes_are_noticed(folder: Path, name: str) -> None:
    def write() -> None:
        file = folder / name
        text = file.read_text().replace(",0\n", ",1\n").replace("3,4", "3,5")
        file.write_text(text.replace("no\n", "maybe\n"))

    assert changed_by(write, *of_folder(folder)) == ["labels, boxes or classes"]


def test_touching_copying_back_and_photos_that_do_not_count_change_nothing(folder: Path) -> None:
    overrides = [*of_folder(folder), "selection.limit=1"]
    assert changed_by((folder / "photos" / "a.png").touch, *overrides) == []
    assert changed_by(lambda: repaint(folder / "photos" / "b.png"), *overrides) == []
    assert changed_by(lambda: photo_file(folder / "photos" / "d.png"), *overrides) == []
    only_right = [*overrides, "selection.correct_only=true"]
    assert changed_by(lambda: repaint(folder / "photos" / "b.png", "blue"), *only_right) == [
        "photos"
    ]


def test_a_new_photo_and_another_name_are_noticed(folder: Path) -> None:
    photos = folder / "photos"
    assert changed_by(lambda: photo_file(photos / "d.png"), *of_folder(folder)) == ["photos"]
    rename = lambda: (photos / "b.png").rename(photos / "bb.png")  # noqa: E731
    assert changed_by(rename, *of_folder(folder)) == ["photos"]
    assert changed_by((photos / "c.png").unlink, *of_folder(folder), "selection.limit=3") != []


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("ILSVRC/Data/CLS-LOC/val/one.JPEG", "photos"),
        ("ILSVRC/Annotations/CLS-LOC/val/one.xml", "photos"),
        ("ILSVRC/Annotations/CLS-LOC/val/two.xml", "photos"),
        ("LOC_val_solution.csv", "labels, boxes or classes"),
        ("LOC_synset_mapping.txt", "labels, boxes or classes"),
    ],
)
def test_the_files_of_imagenet(kaggle_tree: Path, file: str, changed: str) -> None:
    def write() -> None:
        path = kaggle_tree / file
        path.write_bytes((path.read_bytes() if path.exists() else b"<annotation/>") + b"\n")

    assert changed_by(write, "dataset=imagenet", f"dataset.root={kaggle_tree}") == [changed]


def test_imagenets_photo_in_the_folder_of_another_class(tmp_path: Path) -> None:
    photo_file(tmp_path / "val" / "n01440764" / "a.JPEG")
    photo_file(tmp_path / "val" / "n01443537" / "b.JPEG")

    def move() -> None:
        (tmp_path / "val/n01440764/a.JPEG").rename(tmp_path / "val/n01443537/a.JPEG")

    overrides = ["dataset=imagenet", f"dataset.root={tmp_path}"]
    assert changed_by(move, *overrides) == ["labels, boxes or classes"]


def test_the_list_of_places(places_tree: Path) -> None:
    listed = places_tree / "places365_val.txt"
    overrides = ["dataset=places365", f"dataset.root={places_tree}"]
    assert changed_by(
        lambda: listed.write_text(listed.read_text().replace("165", "166")), *overrides
    ) == ["labels, boxes or classes"]


def test_masks_are_inputs(tmp_path: Path, folder: Path) -> None:
    masks = tmp_path / "masks"
    photo_file(masks / "a.png")
    method = Masks(str(masks), "deletion")
    change = lambda: repaint(masks / "a.png")  # noqa: E731
    assert changed_by(change, *of_folder(folder), method=method) == ["masks or label maps"]
    add = lambda: photo_file(masks / "b.png.png")  # noqa: E731
    assert changed_by(add, *of_folder(folder), method=method) == ["masks or label maps"]


@dataclass(frozen=True)
class Judged(Metric):
    """A metric with weights."""

    weights: str = field(metadata={"identity": False})

    @property
    def fingerprint(self) -> str:
        return self.weights


def test_weights_of_classifier_filler_and_judge_and_names_of_classes_are_inputs() -> None:
    first = study(metrics={"judge": Judged("old")})
    before = digest(first)
    others = [
        replace(first, classifier=replace(CLASSIFIER, fingerprint="new")),
        replace(first, classifier=replace(CLASSIFIER, labels=("no", "maybe"))),
        replace(first, filler=ConstantFiller(0.5)),
    ]
    for other in others:
        assert changes(before, digest(other))[-1] == "weights or code"
    assert "labels, boxes or classes" in changes(before, digest(others[1]))
    judged = replace(first, metrics={"judge": Judged("new")})
    assert changes(before, digest(judged)) == ["weights or code"]


@dataclass(frozen=True)
class Drawn(Dataset):
    """A dataset that names no files."""

    seeds = (1, 2)
    ids = ("one", "two")
    photo_labels = (None, None)
    has_boxes = False

    def load(self, index: int, size: int) -> Sample:
        return photo(size, self.seeds[index])


def test_photos_of_a_dataset_without_files_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    redraw = lambda: monkeypatch.setattr(Drawn, "seeds", (1, 3))  # noqa: E731
    drawn = object.__new__(Drawn)
    assert changed_by(redraw, dataset=drawn) == ["photos"]


def test_a_photo_is_read_once_by_a_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest(study(*of_folder(folder)))
    monkeypatch.setattr(inputs.hashlib, "file_digest", None)
    digest(study(*of_folder(folder)))


def test_what_select_may_choose_is_what_it_chooses() -> None:
    chosen = compose_config(
        "selection.limit=7", "selection.sample=9", "selection.held_out=4",
        "selection.shard.index=1", "selection.shard.count=3",
    ).selection  # fmt: skip
    many = object.__new__(Drawn)
    object.__setattr__(many, "ids", tuple(map(str, range(40))))
    nothing = (
        torch.device("cpu"),
        Room("batch_size", 1),
        lambda error: None,
        lambda photos, count: photos,
    )
    found = selection.select(many, CLASSIFIER, chosen, *nothing)
    assert selection.candidates(many, chosen) == [*found.evaluation, *found.held_out]
