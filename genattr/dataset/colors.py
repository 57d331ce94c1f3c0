"""Embedded color profiles: what a photo's numbers mean, brought to sRGB."""

from __future__ import annotations

import logging
from functools import lru_cache
from io import BytesIO
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms

from genattr.errors import first_line, warn_once

log = logging.getLogger(__name__)

MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # by the profile's own name of its space
GRAYS = ("1", "L", "LA", "La")
SAME = 2  # of 255: what profiles of sRGB differ by among each other
LEVELS = np.linspace(0, 255, 17).round().astype(np.uint8)


class Change(NamedTuple):
    """How a profile's colors become sRGB: from images of a mode."""

    mode: str
    transform: ImageCms.ImageCmsTransform

    def fits(self, mode: str) -> bool:
        """Say whether a profile of its space can be that of an image of a mode."""
        if self.mode == "L":
            return mode in GRAYS
        return (mode == "CMYK") == (self.mode == "CMYK")

    def applied(self, image: Image.Image) -> Image.Image:
        """Return an image as RGB, in sRGB."""
        changed = ImageCms.applyTransform(as_mode(image, self.mode), self.transform)
        assert changed is not None
        return changed


def to_srgb(image: Image.Image) -> Image.Image:
    """Convert an image of 8 bits to RGB or RGBA, in sRGB.

    The embedded profile is followed by relative colorimetry with black point compensation. One of
    sRGB changes no bit, nor does one that cannot be used: a warning tells of it.
    """
    is_clear = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    plain = as_mode(image, "RGBA" if is_clear else "RGB")
    change = _change(image.info.get("icc_profile") or b"")
    if change is None or not change.fits(image.mode):
        return plain
    changed = change.applied(plain if is_clear or image.mode == "P" else image)
    if is_clear:
        changed.putalpha(plain.getchannel("A"))
    return changed


def as_mode(image: Image.Image, mode: str) -> Image.Image:
    """Convert an image, or return the same one where it has the mode already."""
    return image if image.mode == mode else image.convert(mode)


@lru_cache(maxsize=32)
def _change(profile: bytes) -> Change | None:
    """Return what a profile asks for; None: nothing."""
    if not profile:
        return None
    try:
        change = _built(ImageCms.ImageCmsProfile(BytesIO(profile)))
    except (ImageCms.PyCMSError, ImportError, OSError, ValueError) as error:
        warn_once(log, f"a photo's color profile cannot be used: {first_line(error)}")
        return None
    return None if _is_srgb(change) else change


def _built(profile: ImageCms.ImageCmsProfile) -> Change:
    space = profile.profile.xcolor_space.strip()
    if space not in MODES:
        raise ValueError(f"it is of {space}")
    # lcms's shortcut leaves dark grays up to 10 levels off
    exactly = ImageCms.Flags.NOOPTIMIZE if space == "GRAY" else ImageCms.Flags.NONE
    transform = ImageCms.buildTransform(
        profile,
        ImageCms.createProfile("sRGB"),
        MODES[space],
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION | exactly,
    )
    return Change(MODES[space], transform)


def _is_srgb(change: Change) -> bool:
    """Say whether a profile moves no color of a grid by more than its kin do."""
    if change.mode == "CMYK":
        return False
    grid = np.stack(np.meshgrid(LEVELS, LEVELS, LEVELS), axis=-1).reshape(len(LEVELS), -1, 3)
    colors = Image.fromarray(grid)
    if change.mode == "L":
        colors = Image.linear_gradient("L")
    before, after = (
        np.asarray(each, int) for each in (colors.convert("RGB"), change.applied(colors))
    )
    return bool(np.abs(after - before).max() <= SAME)
