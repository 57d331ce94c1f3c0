"""Places365's validation photos: small or large, whole or in part, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from torchvision.datasets import Places365 as TorchvisionPlaces365

from genattr.dataset import places365
from genattr.dataset.places365 import Places365
from genattr.dataset.places365_classes import PACKAGED, categories
from genattr.errors import BadPhotoError, UserError
from tests.conftest import photo_file
from tests.contract.options import built, compose_config

LIST = "places365_val.txt"


def places(root: Path, *overrides: str) -> Places365:
    cfg = compose_config("dataset=places365", f"dataset.root={root}", *overrides)
    return built(cfg.dataset, "dataset")


def name_of(number: int) -> str:
    return f"Places365_val_{number:08d}"


def test_ids_and_labels_are_known_without_opening_a_photo(
    places_tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = places(places_tree)
    with monkeypatch.context() as patch:
        patch.setattr(places365, "read_photo", None)
        assert photos.ids == [name_of(1), name_of(2), name_of(4)]
        assert photos.photo_labels == [165, 358, 364]
        assert len(photos) == 3
        assert photos.has_boxes is False
    samples = [photos.load(index, 32) for index in range(3)]
    assert [sample.label for sample in samples] == [165, 358, 364]
    assert [sample.image_id for sample in samples] == photos.ids
    assert {(sample.boxes, sample.native_size) for sample in samples} == {(None, (256, 256))}


def test_torchvision_reads_the_same_classes(
    places_tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo_file(
        places_tree / "val_256" / f"{name_of(3)}.jpg"
    )  # torchvision needs every listed photo
    (places_tree / "categories_places365.txt").write_bytes(PACKAGED.read_bytes())
    monkeypatch.setattr(TorchvisionPlaces365, "_check_integrity", lambda *_: True)
    reference = TorchvisionPlaces365(places_tree, split="val", small=True)
    photos = places(places_tree)
    assert [(Path(file).stem, label) for file, label in reference.imgs] == list(
        zip(photos.ids, photos.photo_labels, strict=True)
    )
    for label in photos.photo_labels:
        assert reference.classes[label] == categories()[label]


def test_large_photos_are_the_same_samples_by_name(places_tree: Path) -> None:
    expected = places(places_tree)
    (places_tree / "val_256").rename(places_tree / "val_large")
    large = places(places_tree)
    assert (large.ids, large.photo_labels) == (expected.ids, expected.photo_labels)
    photo_file(places_tree / "val_256" / f"{name_of(3)}.jpg", (256, 256))
    assert places(places_tree).ids == [name_of(3)]
    assert places(places_tree, "dataset.folder=val_large").ids == expected.ids


def test_localization_is_left_out_and_the_label_is_explained() -> None:
    cfg = compose_config("dataset=places365")
    assert (list(cfg.metric), cfg.target) == (["deletion", "insertion", "saliency"], "label")
    assert list(compose_config("dataset=places365", "metric=[deletion]").metric) == ["deletion"]


def test_own_categories_bound_the_classes(places_tree: Path) -> None:
    (places_tree / "categories_places365.txt").write_text("/a/airfield 0\n/a/alley 1\n")
    with pytest.raises(UserError, match=r"line 1: class 165, and there are 0\.\.1"):
        len(places(places_tree))
    (places_tree / "categories_places365.txt").write_text("airfield\n")
    with pytest.raises(UserError, match=r"class 0: 'airfield' is not like '/a/airfield 0'"):
        len(places(places_tree))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("x.jpg 365", r"line 1: class 365, and there are 0\.\.364"),
        ("x.jpg -1", "line 1: 'x.jpg -1' is not like"),
        ("x.jpg", "line 1: 'x.jpg' is not like 'Places365_val_00000001.jpg 165'"),
        ("../x.jpg 1", r"line 1: \.\./x\.jpg must be a file's name, without folders"),
        ("/a/x.jpg 1", r"line 1: /a/x\.jpg must be a file's name"),
        ("link/x.jpg 1", r"line 1: link/x\.jpg must be a file's name"),
        ("x.jpg 1\nx.jpg 2", r"line 2: a second class for x\.jpg"),
    ],
)
def test_a_wrong_list_is_told(places_tree: Path, line: str, told: str) -> None:
    (places_tree / LIST).write_text(line)
    with pytest.raises(UserError, match=told):
        _ = places(places_tree).photo_labels


def test_photos_that_the_list_lacks_are_named(places_tree: Path) -> None:
    for name in ("b.jpg", "a.JPG"):
        photo_file(places_tree / "val_256" / name)
    (places_tree / "val_256" / "notes.txt").write_text("no photo")
    with pytest.raises(UserError, match=r"lacks 2 photos that are in .*val_256: a\.JPG, b\.jpg"):
        len(places(places_tree))


def test_a_link_that_leads_out_is_refused_and_one_that_stays_is_not(places_tree: Path) -> None:
    link = places_tree / "val_256" / f"{name_of(3)}.jpg"
    link.symlink_to(places_tree / "val_256" / f"{name_of(1)}.jpg")
    assert name_of(3) in places(places_tree).ids
    link.unlink()
    link.symlink_to(photo_file(places_tree.parent / "outside.jpg"))
    with pytest.raises(UserError, match=rf"{name_of(3)}\.jpg is a link that leads out"):
        len(places(places_tree))


def test_a_broken_photo_is_named(places_tree: Path) -> None:
    (places_tree / "val_256" / f"{name_of(2)}.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(BadPhotoError, match=rf"{name_of(2)}\.jpg"):
        places(places_tree).load(1, 32)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("dataset.root=null", r"needs dataset\.root"),
        ("dataset.root=/nowhere/at/all", r"dataset\.root=/nowhere/at/all: no such folder"),
        ("dataset.folder=val", r"no folder val in it; dataset\.folder can name another"),
        ("dataset.root={0}/val_256", r"val_256: no places365_val\.txt in it"),
    ],
)
def test_wrong_keys_are_told(places_tree: Path, override: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        len(places(places_tree, override.format(places_tree)))


def test_a_folder_without_photos_is_told(places_tree: Path) -> None:
    for file in (places_tree / "val_256").iterdir():
        file.unlink()
    with pytest.raises(UserError, match=r"val_256: no \*\.jpg in it"):
        len(places(places_tree))
    (places_tree / "val_256").rmdir()
    with pytest.raises(UserError, match="no folder val_256 or val_large in it"):
        len(places(places_tree))
