from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genattr.errors import UserError
from genattr.training import data, reading
from genattr.training.draws import Draws

CPU = torch.device("cpu")


def write(path: Path, pixels: np.ndarray, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def prepared(root: Path, side: int = 224) -> reading.Index:
    (root / "out").mkdir(exist_ok=True)
    return reading.prepare(reading.find(root, root / "out"), root, root / "out", side, list)


def ramp(height: int, width: int) -> np.ndarray:
    """A photo whose red tells the row and whose green tells the column."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, rows * 0], -1).astype(np.uint8)


def test_photos_are_found_in_subfolders_but_not_among_our_own_pictures(tmp_path: Path) -> None:
    for name in ("b.JPG", "deep/er/a.png", "out/samples/step.png"):
        write(tmp_path / name, ramp(40, 40))
    (tmp_path / "notes.txt").write_text("x")
    found = reading.find(tmp_path, tmp_path / "out")
    assert [path.name for path in found] == ["b.JPG", "a.png"]


def test_bad_and_tiny_photos_are_named_counted_and_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "good.png", ramp(40, 50))
    write(tmp_path / "tiny.png", ramp(40, 20))
    (tmp_path / "bad.jpg").write_text("no photo")
    with caplog.at_level(logging.WARNING):
        index = prepared(tmp_path)
    assert (index.names, index.heights, index.widths) == (["good.png"], [40], [50])
    assert len(index.bad) == 2
    assert "bad.jpg" in caplog.text
    assert "tiny.png: 20 x 40 px, less than 32" in caplog.text


def test_a_folder_of_bad_photos_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("no photo")
    with pytest.raises(UserError, match="none of its 1 photos can be read"):
        prepared(tmp_path)


def test_photos_stand_upright_and_are_reduced(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # turn right by 90 degrees
    write(tmp_path / "turned.png", ramp(100, 300), exif=exif)
    index = prepared(tmp_path, side=50)
    assert (index.heights, index.widths) == ([150], [50])


def test_crops_are_parts_of_the_photo_or_mirrored_ones(tmp_path: Path) -> None:
    write(tmp_path / "one.png", ramp(64, 90))
    prepared(tmp_path)
    photos, _ = data.load(tmp_path / "out", 0, CPU, 64)
    crops = photos.crops(40, 64, 0.0, Draws(CPU, 1))
    values = ((crops + 1) * 127.5).round()
    assert (values[:, 0, :, 0] == torch.arange(64)).all()
    first, last = values[:, 1, 0, 0], values[:, 1, 0, -1]
    assert ((first - last).abs() == 63).all()
    mirrored = first > last
    assert 8 < mirrored.sum() < 32
    left = torch.minimum(first, last)
    assert left.min() < 5
    assert left.max() > 21
    assert left.max() <= 90 - 64


def test_photos_that_are_too_small_are_left_out_where_others_are_not(tmp_path: Path) -> None:
    write(tmp_path / "small.png", np.full((40, 40, 3), 255, np.uint8))
    write(tmp_path / "large.png", np.zeros((70, 70, 3), np.uint8))
    prepared(tmp_path)
    photos, _ = data.load(tmp_path / "out", 0, CPU, 64)
    assert (photos.crops(20, 64, 0.0, Draws(CPU, 1)) == -1).all()


def test_small_photos_are_enlarged_where_there_are_no_others(tmp_path: Path) -> None:
    write(tmp_path / "small.png", ramp(40, 40))
    prepared(tmp_path)
    photos, held_out = data.load(tmp_path / "out", 5, CPU, 64)
    assert photos.crops(3, 64, 0.0, Draws(CPU, 1)).shape == (3, 3, 64, 64)
    assert held_out.shape == (1, 3, 64, 64)


def test_a_share_of_crops_has_no_color(tmp_path: Path) -> None:
    write(tmp_path / "one.png", ramp(80, 80))
    prepared(tmp_path)
    photos, _ = data.load(tmp_path / "out", 0, CPU, 64)
    crops = photos.crops(200, 64, 0.25, Draws(CPU, 1))
    colorless = (crops[:, 0] == crops[:, 2]).flatten(1).all(1)
    assert 30 < colorless.sum() < 70


def test_luma_is_that_of_pillow() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1
    gray = ((data.without_color(image)[0, 0] + 1) * 127.5).numpy()
    assert np.abs(gray - np.asarray(Image.fromarray(pixels).convert("L"))).max() <= 1


def test_photos_are_read_once_and_again_when_they_change(tmp_path: Path) -> None:
    write(tmp_path / "one.png", ramp(40, 40))
    prepared(tmp_path)
    written = (tmp_path / "out/photos.bin").stat().st_mtime_ns
    prepared(tmp_path)
    assert (tmp_path / "out/photos.bin").stat().st_mtime_ns == written
    write(tmp_path / "two.png", ramp(40, 60))
    assert prepared(tmp_path).names == ["one.png", "two.png"]


def test_photos_held_out_are_not_trained_on(tmp_path: Path) -> None:
    for number in range(30):
        write(tmp_path / f"{number}.png", np.full((40, 40, 3), number, np.uint8))
    prepared(tmp_path)
    photos, held_out = data.load(tmp_path / "out", 24, CPU, 64)
    assert (len(photos), len(held_out)) == (27, 3)
    seen = set(photos.crops(500, 64, 0.0, Draws(CPU, 1))[:, 0, 0, 0].tolist())
    assert not seen & set(held_out[:, 0, 0, 0].tolist())
