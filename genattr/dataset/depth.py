"""Photos of more than 8 bits, brought to 8.

Values are divided by the first of 255, 4095, 65535 and so on that holds all of the photo's values:
a file does not say how many of its bits a camera filled.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
    SAMPLEFORMAT,
)
from PIL.TiffImagePlugin import TiffImageFile as Tiff

TOPS = tuple(2**bits - 1 for bits in (8, 12, 16, 20, 24, 28, 31, 32))
SCALED = ("PPM", "JPEG2000")  # formats that state their maximum: Pillow scales it to 65535
DIM = 15  # of 255: 16 bits of which no more than 12 are used
WHITE_IS_ZERO, UNSIGNED, SEPARATE = 0, 1, 2
OVERSHOOT = 2  # floats up to it are shares of white, a little more than 1 after a filter

Values = NDArray[np.float64]


def is_deep_gray(image: Image.Image) -> bool:
    """Say whether an image is gray of 16 or 32 bits, integers or floats."""
    return image.mode.startswith(("I", "F"))


def gray(image: Image.Image) -> Image.Image:
    """Bring deep gray to 8 bits: mode L, or LA where some value is transparent.

    Values below 0 are black, and so are NaN and infinity. Floats up to 1 are shares of white,
    and so are those that overshoot it a little.
    """
    values, opaque = gray_values(image)
    values[~(np.isfinite(values) & opaque)] = 0
    levels = _levels(values, _top(image, values.max(initial=0)))
    if _tags(image).get(PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO:
        levels = 255 - levels
    made = Image.fromarray(levels)
    if not opaque.all():
        made.putalpha(Image.fromarray(opaque.astype(np.uint8) * 255))
    return made


def gray_values(image: Image.Image) -> tuple[Values, NDArray[np.bool_]]:
    """Return (h, w) values of deep gray as they are stored, and which are not transparent."""
    values = np.asarray(image).astype(np.float64)
    if image.mode == "I" and _is_unsigned(_tags(image)):
        values[values < 0] += 2**32
    return values, values != image.info.get("transparency", np.inf)


def deep_color(image: ImageFile, path: Path) -> Image.Image:
    """Read 16-bit RGB(A) again by its true maximum, where Pillow's 8 bits would be nearly black.

    Parameters
    ----------
    image
        Opened and not loaded.
    """
    is_deep = image.format in ("PNG", "TIFF") and ";16" in str([tile[3] for tile in image.tile])
    tags = _tags(image)
    if tags.get(PLANAR_CONFIGURATION) == SEPARATE and max(tags.get(BITSPERSAMPLE, (8,))) > 8:
        raise ValueError("planes of more than 8 bits, which Pillow misreads: save it interleaved")
    image.load()
    if not is_deep or image.mode not in ("RGB", "RGBA"):
        return image
    if "transparency" in image.info:  # Pillow keeps its 16 bits beside pixels of 8
        image.info["transparency"] = tuple(value >> 8 for value in image.info["transparency"])
    colors = np.asarray(image.convert("RGBA")).astype(int)
    is_dim = (colors[..., :3] * (colors[..., 3:] > 0)).max(initial=0) <= DIM
    return _read_again(image, path) if is_dim else image


def _read_again(image: Image.Image, path: Path) -> Image.Image:
    import cv2

    data = np.frombuffer(path.read_bytes(), np.uint8)
    values = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if values is None or values.shape[:2] != (image.height, image.width):
        return image
    colors = values[..., 2::-1].astype(np.float64)
    opaque = values[..., 3:] > 0 if values.shape[2] == 4 else np.ones_like(values[..., :1], bool)
    made = Image.fromarray(_levels(colors, _first_that_holds((colors * opaque).max(initial=0))))
    if values.shape[2] == 4:
        alpha = values[..., 3].astype(np.float64)
        made.putalpha(Image.fromarray(_levels(alpha, _first_that_holds(alpha.max(initial=0)))))
    made.info = {key: value for key, value in image.info.items() if key != "transparency"}
    made.getexif().update(image.getexif())
    return made


def _levels(values: Values, top: float) -> NDArray[np.uint8]:
    return (values / top * 255).round().clip(0, 255).astype(np.uint8)


def _top(image: Image.Image, largest: float) -> float:
    """Return the value that is white: as the format states it, or the first that holds all."""
    if image.format in SCALED and image.mode != "F":
        return TOPS[2]
    if _tags(image).get(BITSPERSAMPLE) == (12,):
        return TOPS[1]
    return 1 if image.mode == "F" and largest <= OVERSHOOT else _first_that_holds(largest)


def _first_that_holds(largest: float) -> float:
    return next((float(top) for top in TOPS if largest <= top), largest)


def _is_unsigned(tags: Mapping[int, Any]) -> bool:
    return tags.get(BITSPERSAMPLE) == (32,) and tags.get(SAMPLEFORMAT, (1,)) == (UNSIGNED,)


def _tags(image: Image.Image) -> Mapping[int, Any]:
    return image.tag_v2 if isinstance(image, Tiff) else {}
