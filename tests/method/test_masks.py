"""Masks from files: which file, which pixels, and the photo's own crop and resize."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from genattr.components import identity
from genattr.dataset.photo import PhotoPreprocessing
from genattr.errors import BadPhotoError, UserError
from genattr.method.deeplab import DeepLab
from genattr.method.masks import Masks
from genattr.run import experiment
from genattr.types import Sample
from tests.conftest import linear_probe, photo
from tests.contract.options import compose_config, small_on_three_photos

CORNER = np.array([[255, 0, 0], [0, 0, 0]], dtype=np.uint8)  # of a photo of 60 x 40


def save(folder: Path, name: str, pixels: np.ndarray, **options: object) -> Masks:
    """Write a mask, and return the method that reads it."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return Masks(str(folder), "deletion")


def sample(image_id: str, preprocess: str = "squash", size: int = 12) -> Sample:
    shape = {"resize": None, "crop": None, "interpolation": "bicubic"}
    white = Image.new("RGB", (60, 40), "white")
    return PhotoPreprocessing(preprocess=preprocess, **shape).sample(
        white, size, image_id, None, None
    )


def test_the_map_is_the_mask_and_the_objective_says_which_part_goes(tmp_path: Path) -> None:
    method = save(tmp_path, "noise0.png", np.eye(12, dtype=np.uint8))
    heatmap = method.explain(linear_probe(12))
    assert torch.equal(heatmap.values, torch.eye(12))
    assert torch.equal(method.removed(heatmap, 12)[0, 0], torch.eye(12).bool())
    rest = Masks(str(tmp_path), "preservation")
    assert torch.equal(
        rest.removed(rest.explain(linear_probe(12)), 12)[0, 0], ~torch.eye(12).bool()
    )


@pytest.mark.parametrize("scale", [1, 7, 20, 33])
def test_a_mask_of_any_size_is_squashed_as_the_photo_is(tmp_path: Path, scale: int) -> None:
    method = save(tmp_path, "a.png", CORNER.repeat(scale, 0).repeat(scale, 1))
    expected = torch.zeros(12, 12, dtype=torch.bool)
    expected[:6, :4] = True
    assert torch.equal(method.mask(sample("a")), expected)


def test_a_mask_is_cropped_as_the_photo_is(tmp_path: Path) -> None:
    # the middle 40 x 40 of the 60 x 40 photo is the image: 10 of the corner's 20 columns are left
    method = save(tmp_path, "a.png", CORNER.repeat(20, 0).repeat(20, 1))
    expected = torch.zeros(12, 12, dtype=torch.bool)
    expected[:6, :3] = True
    assert torch.equal(method.mask(sample("a", "keep_aspect")), expected)


def test_a_mask_lies_where_an_object_of_its_shape_is_seen(tmp_path: Path) -> None:
    tiles = np.random.default_rng(0).integers(0, 2, (4, 6), dtype=np.uint8) * 255
    random = tiles.repeat(10, 0).repeat(10, 1)
    method = save(tmp_path, "a.png", random)
    shape = {"resize": 32, "crop": 28, "interpolation": "bilinear"}
    for preprocess in ("squash", "keep_aspect"):
        seen = PhotoPreprocessing(preprocess=preprocess, **shape).sample(
            Image.fromarray(random).convert("RGB"), 224, "a", None, None
        )
        bright = seen.image[0] > 0.5
        assert (method.mask(seen) == bright).float().mean() > 0.97


def test_a_sample_without_a_region_is_the_whole_photo(tmp_path: Path) -> None:
    method = save(tmp_path, "noise0.png", np.eye(4, dtype=np.uint8))
    assert torch.equal(method.mask(photo(8)), torch.eye(4).repeat_interleave(2, 0)
                       .repeat_interleave(2, 1).bool())  # fmt: skip


def transparent() -> np.ndarray:
    pixels = np.full((4, 4, 4), 255, dtype=np.uint8)
    pixels[0, :, 3] = 0
    pixels[1, :, :3] = 0
    return pixels


KINDS = {
    "one": (np.array([[0] * 4, [0] * 4, [1] * 4, [1] * 4], dtype=np.uint8), {}),
    "bits": (np.array([[False] * 4, [False] * 4, [True] * 4, [True] * 4]), {}),
    "deep": (np.array([[0] * 4, [0] * 4, [1] * 4, [9] * 4], dtype=np.uint16), {}),
    "colors": (np.array([[[0, 0, 0]] * 4] * 2 + [[[0, 0, 1]] * 4] * 2, dtype=np.uint8), {}),
    "cut out": (transparent(), {}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_neither_black_nor_transparent_is_object(tmp_path: Path, kind: str) -> None:
    pixels, options = KINDS[kind]
    method = save(tmp_path, "noise0.png", pixels, **options)
    assert method.mask(photo(4)).tolist() == [[False] * 4] * 2 + [[True] * 4] * 2


def test_a_palettes_colors_count_and_not_their_numbers(tmp_path: Path) -> None:
    mask = Image.fromarray(np.array([[0, 1], [1, 1]], dtype=np.uint8), mode="P")
    mask.putpalette([255, 255, 255, 0, 0, 0])
    mask.save(tmp_path / "noise0.png")
    found = Masks(str(tmp_path), "deletion").mask(photo(2))
    assert found.tolist() == [[True, False], [False, False]]


@pytest.mark.parametrize(
    ("image_id", "files", "chosen"),
    [
        ("birds/a.jpg", ["birds/a.png"], "birds/a.png"),
        ("birds/a.jpg", ["birds/a.jpg.png"], "birds/a.jpg.png"),
        ("birds/a.jpg", ["birds/a.jpg.png", "birds/a.png"], "birds/a.jpg.png"),
        ("a.png", ["a.png", "a.png.png"], "a.png.png"),
        ("a.JPEG", ["a.png"], "a.png"),
        ("val.00001", ["val.00001.png", "val.png"], "val.00001.png"),
    ],
)
def test_a_mask_is_found_by_the_photos_name(
    tmp_path: Path, image_id: str, files: list[str], chosen: str
) -> None:
    for name in files:
        save(tmp_path, name, np.full((2, 2), 255 * (name == chosen), dtype=np.uint8))
    assert Masks(str(tmp_path), "deletion").mask(sample(image_id)).all()


@pytest.mark.parametrize("image_id", ["b.jpg", "../out", "/out", "linked", "sub"])
def test_what_is_not_in_the_folder_is_no_mask(tmp_path: Path, image_id: str) -> None:
    method = save(tmp_path / "masks", "a.png", CORNER)
    save(tmp_path, "out.png", CORNER)
    (tmp_path / "masks" / "linked.png").symlink_to(tmp_path / "out.png")
    (tmp_path / "masks" / "sub.png").mkdir()
    name = image_id.replace("/out", str(tmp_path / "out")) if image_id == "/out" else image_id
    with pytest.raises(BadPhotoError, match=r"no mask .*\.png in .*/masks$"):
        method.mask(sample(name))


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n"])
def test_an_unreadable_mask_is_told_by_its_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(BadPhotoError, match=rf"{tmp_path}/a\.png: not a photo"):
        Masks(str(tmp_path), "deletion").mask(sample("a"))


@pytest.mark.parametrize(
    ("root", "told"),
    [
        ("null", "method=masks needs method.root=/path/to/masks"),
        ("/never", "method.root=/never: no such folder"),
    ],
)
def test_a_folder_that_is_not_there_is_told_before_anything_starts(root: str, told: str) -> None:
    with pytest.raises(UserError, match=f"^{told}$"):
        experiment.check(compose_config("method=masks", f"method.root={root}"))


def test_a_photo_without_a_mask_is_left_out_by_name(tmp_path: Path) -> None:
    save(tmp_path / "own", "a.png", CORNER)
    save(tmp_path / "own", "c.jpg.png", CORNER)
    cfg = small_on_three_photos(tmp_path, "method=masks", f"method.root={tmp_path / 'own'}")
    summary = experiment.run(cfg, tmp_path / "run")
    assert summary.photos == 2
    assert [line.split(":")[0] for line in summary.failed] == ["b.jpg"]
    table = pd.read_parquet(tmp_path / "run" / "per_image.parquet")
    assert table["image_id"].tolist() == ["a.jpg", "c.jpg"]


def test_the_first_file_beside_a_photo_is_its_mask(tmp_path: Path) -> None:
    found = save(tmp_path, "birds/a.jpg.png", np.ones((4, 4), dtype=np.uint8))
    save(tmp_path, "birds/a.png", np.ones((4, 4), dtype=np.uint8))
    assert found.files_beside("birds/a.jpg") == [tmp_path / "birds/a.jpg.png"]
    assert found.files_beside("birds/b.jpg") == []


def test_the_folder_is_no_part_of_the_key_but_what_a_mask_shows(tmp_path: Path) -> None:
    one = save(tmp_path / "one", "a.png", np.ones((4, 4), dtype=np.uint8))
    other = save(tmp_path / "other", "a.png", np.zeros((4, 4), dtype=np.uint8))
    assert identity(one) == identity(other)
    assert one.reads(sample("a")) != other.reads(sample("a"))


def test_values_of_another_type_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^method\.objective=both: "):
        Masks(str(tmp_path), "both")
    with pytest.raises(UserError, match=r"^method\.classes=5: "):
        DeepLab(5, "deletion", None)
