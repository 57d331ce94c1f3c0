"""Photos of more than 8 bits, brought to 8.

Values are divided by the first of 255, 4095, 65535 and so on that holds all of the photo's values:
a file does not say how many of its bits a camera filled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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

from genattr.dataset.bands import bands

TOPS = tuple(2**bits - 1 for bits in (8, 12, 16, 20, 24, 28, 31, 32))
SCALED = ("PPM", "JPEG2000")  # formats that state their maximum: Pillow scales it to 65535
DIM = 15  # of 255: 16 bits of which no more than 12 are used
WHITE_IS_ZERO, UNSIGNED, SEPARATE = 0, 1, 2
OVERSHOOT = 2  # floats up to it are shares of white, a little more than 1 after a filter

Values = NDArray[np.float64]
Convert = Callable[[NDArray[Any]], NDArray[Any]]


def is_deep_gray(image: Image.Image) -> bool:
    """Say whether an image is gray of 16 or 32 bits, integers or floats."""
    return image.mode.startswith(("I", "F"))


def gray(image: Image.Image) -> Image.Image:
    """Bring deep gray to 8 bits: mode L, or LA where some value is transparent.

    Values below 0 are black, and so are NaN and infinity. Floats up to 1 are shares of white,
    and so are those that overshoot it a little.
    """
    stored = np.asarray(image)
    top = _top(image, max(_seen(image, band).max(initial=0) for band in _parts(stored)))
    levels = _by_parts(stored, lambda band: _levels(_seen(image, band), top), np.uint8)
    if _tags(image).get(PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO:
        levels = 255 - levels
    made = Image.fromarray(levels)
    opaque = _by_parts(stored, lambda band: _values(image, band)[1], bool)
    if not opaque.all():
        made.putalpha(Image.fromarray(opaque.astype(np.uint8) * 255))
    return made


def is_marked(image: Image.Image) -> NDArray[Any]:
    """Say, as (h, w) bool, where deep gray is neither black nor transparent."""

    def marked(band: NDArray[Any]) -> NDArray[Any]:
        values, opaque = _values(image, band)
        opaque[values == 0] = False
        return opaque

    return _by_parts(np.asarray(image), marked, bool)


def _values(image: Image.Image, band: NDArray[Any]) -> tuple[Values, NDArray[np.bool_]]:
    """Return values of deep gray as they are stored, and which are not transparent."""
    values = band.astype(np.float64)
    if image.mode == "I" and _is_unsigned(_tags(image)):
        values[values < 0] += 2**32
    return values, values != image.info.get("transparency", np.inf)


def _seen(image: Image.Image, band: NDArray[Any]) -> Values:
    """Return values of deep gray, 0 where they are transparent or no numbers."""
    values, opaque = _values(image, band)
    values[~(np.isfinite(values) & opaque)] = 0
    return values


def _parts(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    height, width = values.shape[:2]
    return (values[top:end] for top, end in bands(width, height))


def _by_parts(values: NDArray[Any], convert: Convert, kind: type) -> NDArray[Any]:
    made: NDArray[Any] = np.empty(values.shape, kind)
    for part, band in zip(_parts(made), _parts(values), strict=True):
        part[...] = convert(band)
    return made


def deep_color(image: ImageFile, content: bytes) -> Image.Image:
    """Read 16-bit RGB(A) again by its true maximum, where Pillow's 8 bits would be nearly black.

    Parameters
    ----------
    image
        Opened and not loaded.
    content
        The file's.
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
    return _read_again(image, content) if _is_dim(image) else image


def _is_dim(image: Image.Image) -> bool:
    """Say whether no color that is seen is more than nearly black."""
    for top, end in bands(image.width, image.height):
        colors = np.asarray(image.crop((0, top, image.width, end)).convert("RGBA"))
        if (colors[..., :3] * (colors[..., 3:] > 0)).max(initial=0) > DIM:
            return False
    return True


def _read_again(image: Image.Image, content: bytes) -> Image.Image:
    import cv2

    values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.shape[:2] != (image.height, image.width):
        return image
    colors, alpha = values[..., 2::-1], values[..., 3:]
    made = Image.fromarray(_brought(colors, alpha > 0 if alpha.size else np.True_))
    if alpha.size:
        made.putalpha(Image.fromarray(_brought(alpha[..., 0], np.True_)))
    made.info = {key: value for key, value in image.info.items() if key != "transparency"}
    return made


def _brought(values: NDArray[Any], counted: NDArray[np.bool_] | np.bool_) -> NDArray[np.uint8]:
    """Bring integers to 8 bits by the first maximum that holds those that count."""
    top = _first_that_holds(float(values.max(initial=0, where=counted)))
    return _by_parts(values, lambda band: _levels(band.astype(np.float64), top), np.uint8)


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
