"""From a photo file to a square image, and its boxes with it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from torch import Tensor

from genattr.dataset.bands import bands
from genattr.dataset.colors import as_mode, to_srgb
from genattr.dataset.depth import deep_color, gray, is_deep_gray, is_marked
from genattr.dataset.formats import register
from genattr.errors import BadPhotoError, first_line, require, warn_once
from genattr.files import content
from genattr.ops.label_map import consecutive
from genattr.parameters import Count
from genattr.protocols import Dataset
from genattr.types import Sample

log = logging.getLogger(__name__)
Box = tuple[float, float, float, float]
RESAMPLING = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
PROGRAMS = ("EPS",)  # formats that another program has to run
MAX_PIXELS = "GENATTR_MAX_PIXELS"  # environment variable: the most that a photo may have
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # by EXIF's orientation


def read_photo(path: Path) -> Image.Image:
    """Decode a photo to upright RGB in sRGB, with transparency on white, and 8 bits of more.

    See ``depth`` for how bits are reduced, and ``colors`` for embedded profiles.

    Raises
    ------
    BadPhotoError
        If it cannot be read; the message names the file and the reason.
    """
    return _read(path, _to_rgb)


def photo_of(image: Image.Image) -> Image.Image:
    """Convert an image as ``read_photo`` does a file; 16-bit colors have Pillow's 8 bits.

    Raises
    ------
    BadPhotoError
        If its file, which Pillow opens late, cannot be read.
    """
    try:
        image.load()
        require(0 not in image.size, "it has no pixels")
        return _upright(_to_rgb(image), image)
    except Exception as error:
        raise BadPhotoError(f"an image of Pillow: {_reason(error)}") from error


def read_mask(path: Path) -> Image.Image:
    """Decode a mask to upright black and white: black and transparent pixels become black.

    Raises
    ------
    BadPhotoError
        If it cannot be read; the message names the file and the reason.
    """
    return _read(path, _to_marks)


def read_labels(path: Path) -> Image.Image:
    """Decode a label map, a PNG or a .npy file, to an upright image of its segments' numbers.

    Raises
    ------
    BadPhotoError
        If it cannot be read, or has no whole number for each pixel.
    """
    if path.suffix != ".npy":
        return _read(path, lambda image: _to_labels(np.asarray(image)))
    try:
        return _to_labels(np.load(BytesIO(content(path)), allow_pickle=False))
    except Exception as error:
        raise BadPhotoError(f"{path}: {_reason(error)}") from error


def _to_labels(values: Any) -> Image.Image:
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind not in "biu":
        raise ValueError("not a label map, which has one whole number for each pixel")
    return Image.fromarray(consecutive(values).numpy().astype(np.int32))


def _read(path: Path, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    register()
    _allow_pixels()
    try:
        data = content(path)  # a path may be mapped, and turned; and the file may change
        with Image.open(BytesIO(data)) as image:
            require(image.format not in PROGRAMS, f"{image.format} is a program, and is not run")
            upright = _upright(convert(deep_color(image, data)), image)
            require(0 not in upright.size, "it has no pixels")
            return upright
    except Exception as error:
        raise BadPhotoError(f"{path}: {_reason(error)}") from error


def _allow_pixels() -> None:
    """Let Pillow read photos of as many pixels as the user wants."""
    text = os.environ.get(MAX_PIXELS, "")
    if text:
        require(text.isdecimal() and len(text) < 19, f"{MAX_PIXELS}={text}: must be a whole number")
        Image.MAX_IMAGE_PIXELS = max(int(text) // 2, 1)  # Pillow refuses more than twice of it


def _upright(converted: Image.Image, original: Image.Image) -> Image.Image:
    """Turn what became of a photo as the photo itself says."""
    turn = TURNS.get(_orientation(original))
    if turn is None:
        return converted
    turned = converted.transpose(turn)
    turned.info = {}  # which would have it turned again
    return turned


def _orientation(image: Image.Image) -> Any:
    """Return EXIF's orientation; 1, which is upright, where there is none that can be read."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        return orientation if orientation in TURNS else 1
    except Exception as error:
        warn_once(log, f"a photo's EXIF cannot be read, and it is not turned: {first_line(error)}")
        return 1


def _reason(error: Exception) -> str:
    """Return in one line, without the path, why a photo cannot be read."""
    if isinstance(error, UnidentifiedImageError):
        return "not a photo, or of an unknown format"
    if isinstance(error, Image.DecompressionBombError):
        told = str(error).rstrip(".")
        return f"{told}: save it smaller, or allow more by the environment variable {MAX_PIXELS}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image to RGB, in sRGB, its transparency on white."""
    if is_deep_gray(image):
        profile = image.info.get("icc_profile")
        image = gray(image)
        image.info["icc_profile"] = profile
    image = to_srgb(image)
    return _on_white(image) if image.mode == "RGBA" else image


def _on_white(image: Image.Image) -> Image.Image:
    composite = Image.new("RGB", image.size)
    for top, end in bands(image.width, image.height):
        band = image.crop((0, top, image.width, end))
        white = Image.new("RGBA", band.size, "white")
        composite.paste(Image.alpha_composite(white, band).convert("RGB"), (0, top))
    return composite


def _to_marks(image: Image.Image) -> Image.Image:
    if is_deep_gray(image):
        marked = is_marked(image)
    else:
        pixels = np.asarray(as_mode(image, "RGBA"))
        marked = pixels[:, :, :3].any(axis=2) & (pixels[:, :, 3] > 0)
    return Image.fromarray(marked.astype(np.uint8) * 255)


@dataclass(frozen=True, kw_only=True)
class PhotoPreprocessing(Dataset):
    """How a photo becomes a D x D image: one resampling of a centered region.

    Parameters
    ----------
    preprocess
        ``squash``: both axes, ignoring the aspect; ``keep_aspect``: the shorter side.
    resize
        Pixels of that axis before the crop; None: the crop's size, so that nothing more is cut
        off.
    crop
        Side of the centered square that is kept, in pixels after ``resize``; None: D. It is
        delivered at D.
    interpolation
        ``bicubic`` or ``bilinear``.
    """

    preprocess: Literal["squash", "keep_aspect"]
    resize: Count | None
    crop: Count | None
    interpolation: Literal["bicubic", "bilinear"]

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.resize is None or self.crop is None or self.crop <= self.resize,
            f"dataset.crop={self.crop}: must be at most dataset.resize={self.resize}; lower it, or "
            "use dataset.resize=null to cut nothing off",
        )

    def sample(
        self,
        image: Image.Image,
        size: int,
        image_id: str,
        label: int | None,
        boxes: list[Box] | None,
    ) -> Sample:
        """Resize an RGB photo and its native half-open boxes to size x size; see ``region``."""
        region = self.region(image.width, image.height, size)
        resampling = RESAMPLING[self.interpolation]
        pixels = np.asarray(image.resize((size, size), resampling, box=region))
        return Sample(
            image=torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255,
            label=label,
            image_id=image_id,
            boxes=place_boxes(boxes, region, size),
            native_size=(image.height, image.width),
            region=region,
        )

    def region(self, width: int, height: int, size: int) -> Box:
        """Return the part of a width x height photo that fills the image, in native pixels.

        Raises
        ------
        UserError
            If ``crop`` is None and ``size`` is more than ``resize``.
        """
        crop = self.crop or size
        resize = self.resize or crop
        require(
            crop <= resize,
            f"dataset.resize={resize} is less than the classifier's {size} pixels: raise it, or "
            f"set dataset.crop to at most {resize}, or use dataset.resize=null to cut nothing off",
        )
        share = crop / resize
        if self.preprocess == "squash":
            kept = (width * share, height * share)
        else:
            kept = (min(width, height) * share,) * 2
        x0, y0 = (width - kept[0]) / 2, (height - kept[1]) / 2
        return x0, y0, x0 + kept[0], y0 + kept[1]


def place_boxes(boxes: list[Box] | None, region: Box, size: int) -> Tensor | None:
    """Transform native boxes to the image and clip them; None if nothing is left."""
    if not boxes:
        return None
    x0, y0, x1, y1 = region
    origin = torch.tensor([x0, y0, x0, y0], dtype=torch.float64)
    extent = torch.tensor([x1 - x0, y1 - y0] * 2, dtype=torch.float64)
    moved = (torch.tensor(boxes, dtype=torch.float64) - origin) / extent * size
    moved = moved.clamp(0, size).float()
    visible = (moved[:, 2:] > moved[:, :2]).all(dim=1)
    return moved[visible] if visible.any() else None


def place_mask(mask: Image.Image, sample: Sample) -> Tensor:
    """Transform a mask of a whole photo, of any size, to the photo's image by nearest neighbor.

    Returns
    -------
    (D, D) bool.
    """
    return torch.from_numpy(_placed(mask, sample) > 0)


def place_labels(labels: Image.Image, sample: Sample) -> Tensor:
    """Transform a label map as ``place_mask`` does a mask.

    Returns
    -------
    (D, D) int64, those that are left numbered 0..K-1.
    """
    return consecutive(_placed(labels, sample))


def _placed(map_of_photo: Image.Image, sample: Sample) -> NDArray[Any]:
    height, width = sample.native_size
    x0, y0, x1, y1 = sample.region or (0, 0, width, height)
    across, down = map_of_photo.width / width, map_of_photo.height / height
    right, bottom = min(x1 * across, map_of_photo.width), min(y1 * down, map_of_photo.height)
    size = sample.image.shape[-1]
    placed = map_of_photo.resize(
        (size, size), Image.Resampling.NEAREST, box=(x0 * across, y0 * down, right, bottom)
    )
    return np.asarray(placed)
