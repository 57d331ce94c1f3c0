"""Embedded color profiles: colors come out as the profile's definition says, sRGB as it is."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from skimage.color import lab2xyz

from genattr.dataset import colors
from genattr.dataset.photo import read_mask, read_photo

D65, D50 = np.array([0.3127, 0.3290]), np.array([0.96422, 1.0, 0.82521])
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))  # x, y of red, green and blue
P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
ADOBE = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def xyz(point: tuple[float, float] | np.ndarray) -> np.ndarray:
    x, y = point
    return np.array([x / y, 1, (1 - x - y) / y])


def to_xyz(primaries: tuple[tuple[float, float], ...]) -> np.ndarray:
    """Return the matrix from linear colors to XYZ under D65."""
    columns = np.stack([xyz(point) for point in primaries], axis=1)
    return columns * np.linalg.solve(columns, xyz(D65))


def adapted() -> np.ndarray:
    """Return the matrix from XYZ under D65 to D50, Bradford's."""
    gains = (BRADFORD @ D50) / (BRADFORD @ xyz(D65))
    return np.linalg.inv(BRADFORD) @ np.diag(gains) @ BRADFORD


def s15(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def curve(gamma: tuple[float, ...]) -> bytes:
    kind = {1: 0, 5: 3}[len(gamma)]
    return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + s15(*gamma)


def icc(space: bytes, kind: bytes, tags: dict[bytes, bytes], pcs: bytes = b"XYZ ") -> bytes:
    """Write a profile: header, table of tags, tags."""
    tags = {b"wtpt": b"XYZ " + bytes(4) + s15(*D50)} | tags
    start, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = bytes(4) + struct.pack(">I4s4s4s", 0x04000000, kind, space, pcs) + bytes(12)
    head = struct.pack(">I", start + len(body)) + head + b"acsp" + bytes(28) + s15(*D50)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def icc_of(primaries: tuple[tuple[float, float], ...], gamma: tuple[float, ...]) -> bytes:
    """Write the profile of a display, adapted from D65 to D50."""
    columns = (adapted() @ to_xyz(primaries)).T
    tags = {
        name + b"XYZ": b"XYZ " + bytes(4) + s15(*column)
        for name, column in zip((b"r", b"g", b"b"), columns, strict=True)
    }
    return icc(b"RGB ", b"mntr", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve(gamma)))


def decoded(levels: np.ndarray) -> np.ndarray:
    """Return sRGB's linear light, from shares of white."""
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def encoded(light: np.ndarray) -> np.ndarray:
    """Return sRGB's levels in 0..255, from linear light."""
    light = light.clip(0, 1)
    share = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return share * 255


def noise(channels: int) -> np.ndarray:
    shape = (20, 40, channels) if channels > 1 else (20, 40)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def saved(path: Path, pixels: np.ndarray, profile: bytes, **options: object) -> np.ndarray:
    """Write a photo with a profile, and return it as it is read."""
    mode = options.pop("mode", None)
    Image.fromarray(pixels, mode).save(path, icc_profile=profile, **options)
    return np.asarray(read_photo(path)).astype(int)


@pytest.mark.parametrize(
    ("primaries", "gamma", "light"),
    [
        (P3, SRGB_CURVE, decoded),
        (ADOBE, (563 / 256,), lambda levels: levels ** (563 / 256)),
    ],
    ids=["P3", "Adobe RGB"],
)
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_colors_of_a_wide_space_follow_its_matrix(
    tmp_path: Path,
    primaries: tuple[tuple[float, float], ...],
    gamma: tuple[float, ...],
    light: Callable[[np.ndarray], np.ndarray],
    ending: str,
) -> None:
    pixels = noise(3)
    change = np.linalg.solve(to_xyz(SRGB), to_xyz(primaries))
    expected = encoded(light(pixels / 255) @ change.T)
    assert np.abs(expected - pixels).max() > 20
    read = saved(tmp_path / f"a.{ending}", pixels, icc_of(primaries, gamma))
    assert np.abs(read - expected).max() <= 1


def test_profiles_of_srgb_change_no_bit(tmp_path: Path) -> None:
    pixels = noise(3)
    builtin = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (builtin, icc_of(SRGB, SRGB_CURVE)):
        assert (saved(tmp_path / "a.png", pixels, profile) == pixels).all()
        gray = saved(tmp_path / "b.png", noise(1), profile)  # a gray photo of an RGB profile
        assert (gray == noise(1)[..., None]).all()


def test_gray_profiles(tmp_path: Path) -> None:
    profile = icc(b"GRAY", b"mntr", {b"kTRC": curve((1.0,))})
    pixels = noise(1)
    expected = encoded(pixels[..., None] / 255)
    assert np.abs(saved(tmp_path / "a.png", pixels, profile) - expected).max() <= 1
    deep = pixels.astype(np.uint16) * 257
    assert np.abs(saved(tmp_path / "b.png", deep, profile) - expected).max() <= 1
    clear = np.stack([pixels, np.where(pixels < 99, 0, 255).astype(np.uint8)], axis=-1)
    on_white = np.where(pixels[..., None] < 99, 255, expected)
    assert np.abs(saved(tmp_path / "c.png", clear, profile) - on_white).max() <= 1


INKS = {  # the color of each corner of a profile of four inks, as L*, a*, b*
    (0, 0, 0, 0): (100, 0, 0), (1, 0, 0, 0): (60, -10, -30), (0, 1, 0, 0): (50, 60, 0),
    (0, 0, 1, 0): (88, -5, 60), (0, 0, 0, 1): (0, 0, 0),
}  # fmt: skip


def icc_of_inks() -> bytes:
    """Write a profile of CMYK: a table with the colors of its 16 corners."""
    entries = b""
    for corner in np.ndindex(2, 2, 2, 2):
        lightness, a, b = INKS.get(corner, (0, 0, 0))
        entries += bytes([round(lightness * 2.55), a + 128, b + 128])
    ramp = bytes(range(256))
    head = struct.pack(">BBBB", 4, 3, 2, 0) + s15(1, 0, 0, 0, 1, 0, 0, 0, 1)
    table = b"mft1" + bytes(4) + head + ramp * 4 + entries + ramp * 3
    return icc(b"CMYK", b"prtr", {b"A2B0": table}, b"Lab ")


@pytest.mark.parametrize("corner", INKS)
def test_inks_have_the_colors_of_their_profile(tmp_path: Path, corner: tuple[int, ...]) -> None:
    pixels = np.full((20, 40, 4), np.array(corner) * 255, np.uint8)
    read = saved(tmp_path / "a.tif", pixels, icc_of_inks(), mode="CMYK")
    light = lab2xyz(np.array(INKS[corner], float), illuminant="D50") @ np.linalg.inv(adapted()).T
    expected = encoded(light @ np.linalg.inv(to_xyz(SRGB)).T)
    assert np.abs(read - expected).max() <= 2


def test_alpha_and_palettes_keep_their_transparency(tmp_path: Path) -> None:
    pixels = noise(3)
    profile = icc_of(P3, SRGB_CURVE)
    expected = saved(tmp_path / "a.png", pixels, profile)
    alpha = np.where(pixels[..., :1] < 99, 0, 255).astype(np.uint8)
    clear = saved(tmp_path / "b.png", np.concatenate([pixels, alpha], axis=-1), profile)
    assert (clear == np.where(alpha == 0, 255, expected)).all()
    few = Image.fromarray(pixels).quantize(8)
    few.save(tmp_path / "c.png", icc_profile=profile)
    plain = saved(tmp_path / "d.png", np.asarray(few.convert("RGB")), profile)
    assert (np.asarray(read_photo(tmp_path / "c.png")) == plain).all()


@pytest.mark.parametrize("kind", ["broken", "of inks", "gray"])
def test_a_profile_that_cannot_be_used_changes_nothing(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    gray = icc(b"GRAY", b"mntr", {b"kTRC": curve((1.0,))})
    profile = {"broken": b"no profile at all", "of inks": icc_of_inks(), "gray": gray}[kind]
    pixels = noise(3)
    colors._change.cache_clear()
    assert (saved(tmp_path / "a.png", pixels, profile) == pixels).all()
    told = "a photo's color profile cannot be used" in caplog.text
    assert told == (kind == "broken")


def test_masks_have_no_colors(tmp_path: Path) -> None:
    profile = icc(b"GRAY", b"mntr", {b"kTRC": curve((8.0,))})
    pixels = np.where(noise(1) < 99, 0, 9).astype(np.uint8)
    assert not saved(tmp_path / "a.png", pixels, profile).any()
    assert ((np.asarray(read_mask(tmp_path / "a.png")) > 0) == (pixels > 0)).all()
