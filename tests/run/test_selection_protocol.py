"""What every dataset tells about its photos without opening one agrees with the photos."""

from __future__ import annotations

from pathlib import Path

import pytest

from genattr.dataset import folder, imagenet, samples
from genattr.dataset.imagenet_classes import synsets
from genattr.errors import UserError
from genattr.protocols import Dataset
from tests.conftest import photo_file
from tests.contract.options import built, compose_config


def dataset(option: str, *overrides: str) -> Dataset:
    return built(compose_config(f"dataset={option}", *overrides).dataset, "dataset")


def told(photos: Dataset, monkeypatch: pytest.MonkeyPatch) -> tuple[list[int | None], bool]:
    """Ask for labels and boxes while no photo can be opened."""

    def refuse(*_: object) -> None:
        raise AssertionError("a photo was opened")

    with monkeypatch.context() as patch:
        for module in (folder, imagenet, samples):
            patch.setattr(module, "read_photo", refuse)
        return list(photos.photo_labels), photos.has_boxes


def loaded(photos: Dataset) -> tuple[list[int | None], bool]:
    """Return the same from the photos themselves."""
    samples = [photos.load(index, 32) for index in range(len(photos))]
    return [sample.label for sample in samples], any(s.boxes is not None for s in samples)


def test_how_many_classes_there_are(tmp_path: Path, kaggle_tree: Path, places_tree: Path) -> None:
    assert dataset("samples").n_classes == 1000
    names = tmp_path / "classes.txt"
    names.write_text("crack\nno crack\n\n \n")
    assert dataset("folder", f"dataset.classes={names}").n_classes == 2
    assert dataset("folder").n_classes is None
    places = f"dataset.root={places_tree}"
    assert dataset("places365", places).n_classes == 365
    (places_tree / "categories_places365.txt").write_text("/a/airfield 0\n/a/alley 1\n")
    assert dataset("places365", places).n_classes == 2
    imagenet = f"dataset.root={kaggle_tree}"
    assert dataset("imagenet", imagenet).n_classes is None  # three synsets in its list
    lines = "".join(f"{synset} x\n" for synset in synsets())
    (kaggle_tree / "LOC_synset_mapping.txt").write_text(lines)
    assert dataset("imagenet", imagenet).n_classes == 1000


def test_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    photos = dataset("samples")
    assert told(photos, monkeypatch) == loaded(photos) == ([967, 872, 652, 281, 657, 698], True)


LABELS = "image,label\nsub/b.png,281\n"
BOXES = "image,x0,y0,x1,y1,label\na.png,0,0,9,9,7\nsub/b.png,0,0,9,9,8\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, ([None, None], False)),
        ({"labels": LABELS}, ([None, 281], False)),
        ({"boxes": BOXES}, ([7, 8], True)),
        ({"labels": LABELS, "boxes": BOXES}, ([7, 281], True)),
        ({"labels": LABELS + "a.png,9\n", "boxes": BOXES}, ([9, 281], False)),
    ],
)
def test_folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, str],
    expected: tuple[list[int | None], bool],
) -> None:
    for name in ("a.png", "sub/b.png"):
        photo_file(tmp_path / "photos" / name)
    for key, content in files.items():
        (tmp_path / f"{key}.csv").write_text(content)
    keys = [f"dataset.{key}={tmp_path / key}.csv" for key in files]
    photos = dataset("folder", f"dataset.root={tmp_path / 'photos'}", *keys)
    assert told(photos, monkeypatch) == loaded(photos) == expected


@pytest.mark.parametrize("member", ["photo_labels", "has_boxes"])
@pytest.mark.parametrize(
    ("key", "content"),
    [("labels", "image,label\nc.png,1\n"), ("boxes", "image,x0,y0,x1,y1\nc.png,0,0,1,1\n")],
)
def test_folder_tells_of_names_without_photo_as_soon_as_it_is_asked(
    tmp_path: Path, member: str, key: str, content: str
) -> None:
    photo_file(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text(content)
    keys = (f"dataset.root={tmp_path}", f"dataset.{key}={tmp_path / 'list.csv'}")
    with pytest.raises(UserError, match=r"names 1 photos that are not in .*: c\.png"):
        getattr(dataset("folder", *keys), member)


def test_imagenet(kaggle_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = dataset("imagenet", f"dataset.root={kaggle_tree}")
    assert told(photos, monkeypatch) == loaded(photos) == ([1, 0, 2], True)


def test_imagenet_without_boxes(kaggle_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (kaggle_tree / "ILSVRC/Annotations/CLS-LOC/val/one.xml").unlink()
    (kaggle_tree / "LOC_val_solution.csv").write_text(
        "ImageId,PredictionString\none,n01443537\ntwo,n01440764\nzoo,n01558993\n"
    )
    photos = dataset("imagenet", f"dataset.root={kaggle_tree}")
    assert told(photos, monkeypatch) == loaded(photos) == ([1, 0, 2], False)
