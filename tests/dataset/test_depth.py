"""Photos of more than 8 bits: which value is white, what is transparent, what is read in full."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image

from genattr.dataset.photo import read_mask, read_photo

RAMP = np.linspace(0, 1, 800).reshape(20, 40)
LEVELS = (RAMP * 255).round()


def read(path: Path) -> np.ndarray:
    return np.asarray(read_photo(path)).astype(int)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def deep_png(path: Path, values: np.ndarray, color: int, clear: bytes | None = None) -> Path:
    """Write a PNG of 16 bits by hand: color 0 is gray, 2 RGB, 4 gray and alpha, 6 RGBA."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, color, 0, 0, 0))
    marks = chunk(b"tRNS", clear) if clear else b""
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + marks + body)
    return path


def tiff(path: Path, data: bytes, bits: int, photometric: int = 1, sample: int = 0) -> Path:
    """Write a gray TIFF, 40 x 20, by hand; sample 0 leaves out what numbers are."""
    tags = [(256, 40), (257, 20), (258, bits), (259, 1), (262, photometric), (273, 0), (277, 1)]
    tags += [(278, 20), (279, len(data)), *([(339, sample)] if sample else [])]
    start = 8 + 2 + 12 * len(tags) + 4
    entries = (
        struct.pack("<HHII", key, 4, 1, start if key == 273 else value) for key, value in tags
    )
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    path.write_bytes(head + b"".join(entries) + bytes(4) + data)
    return path


@pytest.mark.parametrize("top", [255, 4095, 65535, 2**20 - 1, 2**24 - 1, 2**31 - 1])
def test_a_full_ramp_of_any_usual_depth_is_a_full_ramp(tmp_path: Path, top: int) -> None:
    Image.fromarray((RAMP * top).round().astype(np.int32)).save(tmp_path / "a.tif")
    assert np.abs(read(tmp_path / "a.tif") - LEVELS[..., None]).max() <= 1
    if top <= 65535:
        deep_png(tmp_path / "a.png", (RAMP * top).round(), 0)
        assert np.abs(read(tmp_path / "a.png") - LEVELS[..., None]).max() <= 1


@pytest.mark.parametrize(
    ("largest", "top"), [(256, 4095), (4096, 65535), (70_000, 2**20 - 1), (255, 255), (200, 255)]
)
def test_white_is_the_first_top_that_holds_the_values(
    tmp_path: Path, largest: int, top: int
) -> None:
    values = np.full((20, 40), largest, np.int32)
    Image.fromarray(values).save(tmp_path / "a.tif")
    assert (read(tmp_path / "a.tif") == round(largest / top * 255)).all()


@pytest.mark.parametrize("top", [1, 255, 4095, 65535, 2**24 - 1])
def test_floats_too(tmp_path: Path, top: int) -> None:
    Image.fromarray((RAMP * top).astype(np.float32)).save(tmp_path / "a.tif")
    assert np.abs(read(tmp_path / "a.tif") - LEVELS[..., None]).max() <= 1


def test_unsigned_values_of_32_bits(tmp_path: Path) -> None:
    values = (RAMP * (2**32 - 1)).astype("<u4")
    for sample in (0, 1):  # without the tag, numbers are unsigned
        path = tiff(tmp_path / "a.tif", values.tobytes(), 32, sample=sample)
        assert np.abs(read(path) - LEVELS[..., None]).max() <= 1


def test_values_below_zero_are_black(tmp_path: Path) -> None:
    values = np.where(RAMP < 0.5, -1000, 3000).astype("<i2")
    path = tiff(tmp_path / "a.tif", values.tobytes(), 16, sample=2)
    assert np.unique(read(path)).tolist() == [0, round(3000 / 4095 * 255)]


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_orders_of_bytes(tmp_path: Path, order: str) -> None:
    mode = "I;16" if order == "<" else "I;16B"
    values = (RAMP * 4095).astype(f"{order}u2")
    Image.frombytes(mode, (40, 20), values.tobytes()).save(tmp_path / "a.tif")
    assert np.abs(read(tmp_path / "a.tif") - LEVELS[..., None]).max() <= 1


def test_a_tiff_of_12_bits_or_with_white_as_zero(tmp_path: Path) -> None:
    dark = np.full((20, 20, 2), 200, np.uint16)  # two values in three bytes
    first, second = dark[..., 0], dark[..., 1]
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=-1)
    path = tiff(tmp_path / "a.tif", packed.astype(np.uint8).tobytes(), 12)
    assert (read(path) == round(200 / 4095 * 255)).all()
    path = tiff(tmp_path / "b.tif", (RAMP * 65535).astype("<u2").tobytes(), 16, photometric=0)
    assert np.abs(read(path) - (255 - LEVELS[..., None])).max() <= 1


def test_formats_that_state_their_maximum_are_taken_at_their_word(tmp_path: Path) -> None:
    dark = np.full((20, 40), 200, ">u2")
    (tmp_path / "a.pgm").write_bytes(b"P5 40 20 4095\n" + dark.tobytes())
    assert (read(tmp_path / "a.pgm") == round(200 / 4095 * 255)).all()
    Image.fromarray(dark.astype(np.uint16)).save(tmp_path / "a.jp2")
    assert (read(tmp_path / "a.jp2") == round(200 / 65535 * 255)).all()


def test_transparency_of_deep_gray_stands_on_white(tmp_path: Path) -> None:
    values = (RAMP * 4000).astype(np.uint16)
    values[:, :10] = 65535  # also where the mark is far above the values
    path = deep_png(tmp_path / "a.png", values, 0, clear=struct.pack(">H", 65535))
    pixels = read(path)
    assert (pixels[:, :10] == 255).all()
    assert np.abs(pixels[:, 10:, 0] - values[:, 10:] / 4095 * 255).max() <= 0.5
    mask = np.asarray(read_mask(path))
    assert not mask[:, :10].any()
    assert mask[:, 10:].all()


def test_deep_gray_with_alpha_stands_on_white(tmp_path: Path) -> None:
    for top in (4095, 65535):
        values = np.stack([RAMP * top, np.where(RAMP < 0.5, 0, 65535)], axis=-1)
        pixels = read(deep_png(tmp_path / "a.png", values, 4))
        expected = np.where(RAMP < 0.5, 255, LEVELS)
        assert np.abs(pixels - expected[..., None]).max() <= 1


@pytest.mark.parametrize("top", [255, 4095, 65535])
@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_deep_colors(tmp_path: Path, top: int, ending: str, channels: int) -> None:
    shares = np.stack([RAMP, 1 - RAMP, RAMP / 2, np.ones_like(RAMP)], axis=-1)
    values = (shares[..., :channels] * top).astype(np.uint16)
    values[..., 3:] = 65535
    path = tmp_path / f"a.{ending}"
    cv2.imwrite(str(path), values[..., [2, 1, 0, 3][:channels]])
    assert np.abs(read(path) - shares[..., :3] * 255).max() <= 1


def test_deep_colors_that_are_transparent_or_turned(tmp_path: Path) -> None:
    values = (np.stack([RAMP, RAMP, 0 * RAMP], axis=-1) * 65535).astype(np.uint16)
    values[:, :10] = (300, 5, 70)
    clear = struct.pack(">HHH", 300, 5, 70)
    assert (read(deep_png(tmp_path / "a.png", values, 2, clear))[:, :10] == 255).all()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    gray = (RAMP * 4095).astype(np.uint16)
    Image.fromarray(gray).save(tmp_path / "b.png", exif=exif)
    expected = np.rot90(LEVELS, -1)[..., None]
    assert np.abs(read(tmp_path / "b.png") - expected).max() <= 1
    deep_png(tmp_path / "c.png", np.stack([gray] * 3, axis=-1), 2)
    data = (tmp_path / "c.png").read_bytes()
    marked = data[:33] + chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) + data[33:]
    (tmp_path / "c.png").write_bytes(marked)
    assert np.abs(read(tmp_path / "c.png") - expected).max() <= 1


def test_a_mask_of_few_deep_values_marks_all_of_them(tmp_path: Path) -> None:
    values = np.where(RAMP < 0.5, 0, 1)
    deep_png(tmp_path / "gray.png", values, 0)
    deep_png(tmp_path / "color.png", np.stack([values] * 3, axis=-1), 2)
    for name in ("gray.png", "color.png"):
        assert ((np.asarray(read_mask(tmp_path / name)) > 0) == (values > 0)).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_turned_gray_tiff_is_upright(tmp_path: Path, dtype: type) -> None:
    top = np.iinfo(dtype).max
    upright = np.full((12, 20), top // 5, dtype)
    upright[1:5, 1:5] = top
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # stored as turned to the left
    Image.fromarray(np.rot90(upright).copy()).save(tmp_path / "turned.tif", exif=exif)
    found = np.asarray(read_photo(tmp_path / "turned.tif"))[..., 0]
    assert np.array_equal(found > 200, upright == top)


def test_floats_that_overshoot_1_are_shares_of_white(tmp_path: Path) -> None:
    values = np.full((4, 4), 0.5, np.float32)
    values[0, 0] = 1.02
    Image.fromarray(values).save(tmp_path / "a.tif")
    found = np.asarray(read_photo(tmp_path / "a.tif"))
    assert (found[0, 0, 0], found[1, 1, 0]) == (255, 128)
