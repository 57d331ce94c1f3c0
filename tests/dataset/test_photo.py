"""Photos of every kind load right, and boxes follow the resize and the crop."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

from genattr.dataset import bands
from genattr.dataset.photo import PhotoPreprocessing, place_boxes, read_photo
from genattr.errors import BadPhotoError, UserError


def preprocessing(preprocess: str = "squash", **changes: object) -> PhotoPreprocessing:
    values = {"resize": None, "crop": None, "interpolation": "bicubic"}
    return PhotoPreprocessing(preprocess=preprocess, **(values | changes))


def noise(width: int, height: int) -> Image.Image:
    random = np.random.default_rng(0)
    small = Image.fromarray(random.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    ("preprocess", "size"), [("squash", (256, 256)), ("keep_aspect", 256)], ids=str
)
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_equals_torchvisions_resize_and_crop(
    preprocess: str, size: object, interpolation: str
) -> None:
    image = noise(480, 384)  # 320 x 256 with its aspect: torchvision then rounds nothing
    steps = Compose([Resize(size, InterpolationMode(interpolation)), CenterCrop(224)])
    expected = np.asarray(steps(image)).astype(float) / 255
    ours = preprocessing(preprocess, resize=256, crop=224, interpolation=interpolation)
    sample = ours.sample(image, 224, "x", None, None)
    difference = np.abs(sample.image.permute(1, 2, 0).numpy() - expected)
    assert difference.max() < 1.5 / 255
    assert sample.native_size == (384, 480)


def test_straight_squash_keeps_the_whole_photo_and_its_boxes() -> None:
    sample = preprocessing().sample(noise(400, 200), 100, "x", 3, [(40, 20, 400, 200)])
    assert sample.boxes is not None
    assert sample.boxes.tolist() == [[10, 10, 100, 100]]


def test_boxes_follow_a_keep_aspect_crop() -> None:
    # 400 x 200, the middle 200 x 200 fills 100 x 100; half of it with resize 200, crop 100
    photo = noise(400, 200)
    straight = preprocessing("keep_aspect").sample(photo, 100, "x", None, [(50, 100, 200, 150)])
    assert straight.boxes.tolist() == [[0, 50, 50, 75]]
    tight = preprocessing("keep_aspect", resize=200, crop=100)
    zoomed = tight.sample(photo, 100, "x", None, [(150, 50, 200, 100), (0, 0, 100, 40)])
    assert zoomed.boxes.tolist() == [[0, 0, 50, 50]]


def test_boxes_that_are_cropped_away_leave_none() -> None:
    assert place_boxes([(0, 0, 10, 10)], (20, 20, 30, 30), 64) is None


box = st.tuples(*[st.floats(0, 300)] * 4).map(
    lambda c: (min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]) + 1, max(c[1], c[3]) + 1)
)


@given(st.lists(box, min_size=1, max_size=4), st.sampled_from(["squash", "keep_aspect"]))
def test_boxes_stay_in_the_frame(boxes: list[tuple[float, ...]], preprocess: str) -> None:
    region = preprocessing(preprocess, resize=256, crop=224).region(300, 200, 64)
    placed = place_boxes(boxes, region, 64)
    if placed is not None:
        assert 0 <= placed.min() <= placed.max() <= 64
        assert (placed[:, 2:] > placed[:, :2]).all()


@given(st.integers(1, 500), st.integers(1, 500), st.sampled_from([32, 224, 260]))
def test_the_whole_photo_fills_the_frame(width: int, height: int, size: int) -> None:
    region = preprocessing().region(width, height, size)
    assert place_boxes([(0, 0, width, height)], region, size).tolist() == [[0, 0, size, size]]


def test_a_crop_larger_than_the_resize_is_refused() -> None:
    with pytest.raises(UserError, match=r"dataset\.crop=260: .* dataset\.resize=256"):
        preprocessing(resize=256, crop=260)
    with pytest.raises(UserError, match=r"dataset\.resize=256 .* 260 pixels"):
        preprocessing(resize=256).region(300, 300, 260)


def test_a_crop_is_delivered_at_the_classifiers_size() -> None:
    # 224 of 256 of a 256 x 256 photo: 16 pixels off each side, then 224 to 112
    ours = preprocessing(resize=256, crop=224)
    assert ours.region(256, 256, 112) == (16, 16, 240, 240)
    placed = ours.sample(noise(256, 256), 112, "x", None, [(16, 16, 116, 256)]).boxes
    assert placed.tolist() == [[0, 0, 50, 112]]


def halves(mode: str, left: object, right: object) -> Image.Image:
    """Return a 40 x 20 photo of two colors."""
    image = Image.new(mode, (40, 20), left)
    image.paste(right, (20, 0, 40, 20))
    return image


def test_keep_aspect_follows_torchvision_to_a_pixel_where_that_rounds() -> None:
    image = halves("RGB", "black", "white").resize((504, 328), Image.Resampling.NEAREST)
    steps = Compose([Resize(256, InterpolationMode.BICUBIC), CenterCrop(224)])  # 393.4 -> 393 wide
    expected = torch.from_numpy(np.asarray(steps(image)) / 255).permute(2, 0, 1)
    ours = preprocessing("keep_aspect", resize=256, crop=224)
    found = ours.sample(image, 224, "x", None, None).image
    white = found[0].sum(dim=1)  # of 224 pixels in each row: where the edge is
    assert (white - 112).abs().max() < 0.1
    assert (white - expected[0].sum(dim=1)).abs().max() < 1


def colors(path: Path) -> list[tuple[int, ...]]:
    """Return the colors in the middle of both halves."""
    image = read_photo(path)
    assert image.mode == "RGB"
    return [image.getpixel((image.width // 4, 10)), image.getpixel((3 * image.width // 4, 10))]


def test_grayscale_palette_and_alpha(tmp_path: Path) -> None:
    halves("L", 0, 200).save(tmp_path / "gray.png")
    assert colors(tmp_path / "gray.png") == [(0, 0, 0), (200, 200, 200)]
    halves("RGB", (255, 0, 0), (0, 0, 255)).convert("P").save(tmp_path / "palette.png")
    assert colors(tmp_path / "palette.png") == [(255, 0, 0), (0, 0, 255)]
    halves("RGBA", (255, 0, 0, 255), (9, 9, 9, 0)).save(tmp_path / "alpha.png")
    assert colors(tmp_path / "alpha.png") == [(255, 0, 0), (255, 255, 255)]
    halves("LA", (40, 255), (40, 0)).save(tmp_path / "grayalpha.png")
    assert colors(tmp_path / "grayalpha.png") == [(40, 40, 40), (255, 255, 255)]
    clear = halves("RGB", (255, 0, 0), (0, 0, 255)).convert("P", palette=Image.Palette.ADAPTIVE)
    for name in ("clear.gif", "clear.png"):
        clear.save(tmp_path / name, transparency=clear.getpixel((30, 10)))
        assert colors(tmp_path / name) == [(255, 0, 0), (255, 255, 255)]
    halves("RGBA", (255, 0, 0, 255), (0, 0, 0, 128)).save(tmp_path / "half.png")
    assert colors(tmp_path / "half.png") == [(255, 0, 0), (127, 127, 127)]


def test_cmyk(tmp_path: Path) -> None:
    halves("CMYK", (0, 0, 0, 0), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg", quality=95)
    white, red = colors(tmp_path / "cmyk.jpg")
    assert min(white) > 250
    assert red[0] > 240
    assert max(red[1:]) < 15


def test_sixteen_bits_and_floats(tmp_path: Path) -> None:
    values = np.full((20, 40), 0, np.uint16)
    values[:, 20:] = 32768
    Image.fromarray(values).save(tmp_path / "deep.png")
    assert colors(tmp_path / "deep.png") == [(0, 0, 0), (128, 128, 128)]
    Image.fromarray(values.astype(np.int32)).save(tmp_path / "int.tiff")
    assert colors(tmp_path / "int.tiff") == [(0, 0, 0), (128, 128, 128)]
    deep_rgb = np.full((20, 40, 3), (257, 32768, 65535), np.uint16)
    cv2.imwrite(str(tmp_path / "deep_rgb.png"), deep_rgb[..., ::-1])
    assert colors(tmp_path / "deep_rgb.png") == [(1, 128, 255)] * 2


@pytest.mark.parametrize("top", [1, 255, 65535])
def test_floats_of_every_usual_range(tmp_path: Path, top: int) -> None:
    values = np.full((20, 40), 0.5 * top, np.float32)
    values[:, 20:] = top
    values[0, 0] = np.nan
    Image.fromarray(values).save(tmp_path / "float.tiff")
    assert colors(tmp_path / "float.tiff") == [(128, 128, 128), (255, 255, 255)]


def test_exif_orientation(tmp_path: Path) -> None:
    image = halves("RGB", (255, 0, 0), (0, 0, 255)).rotate(90, expand=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    image.save(tmp_path / "turned.png", exif=exif)
    assert read_photo(tmp_path / "turned.png").size == (40, 20)
    assert colors(tmp_path / "turned.png") == [(255, 0, 0), (0, 0, 255)]


def test_exif_orientation_of_a_jpeg(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    halves("RGB", (255, 0, 0), (0, 0, 255)).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    (left, _, _), (right, _, _) = colors(tmp_path / "turned.jpg")
    assert (left < 20, right > 235) == (True, True)


KINDS = {
    "truncated": "truncated",
    "text": "not a photo",
    "missing": "No such file",
    "huge": "decompression bomb",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_photo_is_named(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bad.jpg"
    if kind == "truncated":
        noise(160, 160).save(path)
        path.write_bytes(path.read_bytes()[:900])
    elif kind == "text":
        path.write_text("hello")
    elif kind == "huge":
        noise(160, 160).save(path)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(BadPhotoError, match=rf"bad\.jpg: [^\n]*{KINDS[kind]}"):
        read_photo(path)


def test_sample_is_float_rgb_in_0_1() -> None:
    image = preprocessing().sample(noise(64, 64), 32, "x", None, None).image
    assert image.dtype == torch.float32
    assert image.shape == (3, 32, 32)
    assert 0 <= image.min() <= image.max() <= 1


def test_what_is_no_file_is_told_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    (tmp_path / "folder.png").mkdir()
    for name in ("pipe", "device"):
        with pytest.raises(BadPhotoError, match=rf"{name}\.png: it is no file, but a pipe"):
            read_photo(tmp_path / f"{name}.png")
    with pytest.raises(BadPhotoError, match=r"folder\.png: Is a directory"):
        read_photo(tmp_path / "folder.png")


def test_a_file_of_more_than_a_gigabyte_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse.png").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(BadPhotoError, match=r"sparse\.png: it has more than a gigabyte"):
        read_photo(tmp_path / "sparse.png")


@pytest.mark.filterwarnings("ignore:Image size")
def test_more_pixels_are_allowed_by_an_environment_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise(80, 40).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    monkeypatch.setenv("GENATTR_MAX_PIXELS", "1000")
    with pytest.raises(BadPhotoError, match=r"\(3200 pixels\).*variable GENATTR_MAX_PIXELS$"):
        read_photo(tmp_path / "a.png")
    monkeypatch.setenv("GENATTR_MAX_PIXELS", "3200")
    assert read_photo(tmp_path / "a.png").size == (80, 40)
    monkeypatch.setenv("GENATTR_MAX_PIXELS", "many")
    with pytest.raises(UserError, match="GENATTR_MAX_PIXELS=many: must be a whole number"):
        read_photo(tmp_path / "a.png")


def test_a_photo_is_no_program(tmp_path: Path) -> None:
    head = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    (tmp_path / "a.png").write_bytes(head)
    with pytest.raises(BadPhotoError, match="EPS is a program, and is not run"):
        read_photo(tmp_path / "a.png")


@pytest.mark.parametrize("mode", ["I;16", "I", "F", "RGBA", "RGB"])
def test_photos_of_several_parts_are_as_those_of_one(
    tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(0).integers(0, 4000, (40, 30, 4))
    kinds = {"I;16": "<u2", "I": "<i4", "F": "<f4"}
    if mode in kinds:
        image = Image.fromarray(values[..., 0].astype(kinds[mode]))
    else:
        image = Image.fromarray((values % 256).astype(np.uint8), "RGBA").convert(mode)
    image.save(tmp_path / "a.tif")
    whole = np.asarray(read_photo(tmp_path / "a.tif"))
    monkeypatch.setattr(bands, "PIXELS", 100)
    assert np.array_equal(np.asarray(read_photo(tmp_path / "a.tif")), whole)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_refuses_no_photo(tmp_path: Path) -> None:
    noise(80, 40).save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03")
    assert read_photo(tmp_path / "a.jpg").size == (80, 40)
