"""Small valid photos of every kind that is read, as bytes, and files that are no such photo."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from functools import cache
from typing import Any

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageCms, features
from PIL.PngImagePlugin import PngInfo

SIZE = (24, 16)
CODECS = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}


def picture(mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    """Make an image of a gradient, in any mode."""
    across, down = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]))
    if mode in ("I;16", "I", "F"):
        top, kind = {"I;16": (65535, "<u2"), "I": (70000, "<i4"), "F": (1, "<f4")}[mode]
        return Image.fromarray((across * down * top).astype(kind))
    colors = np.stack([across, down, 1 - across, 0.2 + 0.8 * down], axis=-1)
    made = Image.fromarray((colors * 255).round().astype(np.uint8), "RGBA")
    return made if mode == "RGBA" else made.convert("RGB").convert(mode)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return an image as a file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def exif(orientation: int) -> bytes:
    """Return EXIF of an orientation."""
    made = Image.Exif()
    made[ExifTags.Base.Orientation] = orientation
    made[ExifTags.Base.Make] = "a camera"
    return made.tobytes()


def deep_png(channels: int, share: float = 1.0) -> bytes:
    """Return a PNG of 16 bits a channel."""
    values = np.random.default_rng(0).integers(0, int(65535 * share), (*SIZE[::-1], channels))
    return bytes(cv2.imencode(".png", values.astype(np.uint16))[1])


@cache
def valid() -> Mapping[str, bytes]:
    """Return photos that are read, by what they are."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    frames = [picture(size=SIZE).rotate(angle) for angle in (0, 90, 180)]
    many: dict[str, Any] = {"save_all": True, "append_images": frames[1:]}
    text = PngInfo()
    text.add_text("comment", "x" * 50_000, zip=True)
    kinds: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
        **{f"PNG of {mode}": (picture(mode), "PNG", {}) for mode in PNG},
        **{f"JPEG of {mode}": (picture(mode), "JPEG", {}) for mode in ("RGB", "L", "CMYK")},
        **{f"TIFF of {mode}": (picture(mode), "TIFF", {}) for mode in TIFF},
        **{
            f"TIFF by {way}": (picture("1" if "group" in way else "RGB"), "TIFF", packed(way))
            for way in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits", "group4")
        },
        **{f"BMP of {mode}": (picture(mode), "BMP", {}) for mode in ("RGB", "L", "1", "P")},
        **{f"PPM of {mode}": (picture(mode), "PPM", {}) for mode in ("RGB", "L", "1")},
        **{f"TGA of {mode}": (picture(mode), "TGA", {}) for mode in ("RGB", "RGBA", "L", "P")},
        **{f"turned {way}": (picture(), "JPEG", {"exif": exif(way)}) for way in range(1, 9)},
        "PNG, turned": (picture(), "PNG", {"exif": exif(6)}),
        "PNG with a palette and transparency": (picture("P"), "PNG", {"transparency": 3}),
        "PNG with a transparent color": (picture(), "PNG", {"transparency": (255, 0, 0)}),
        "PNG with much text": (picture(), "PNG", {"pnginfo": text}),
        "TGA, packed": (picture(), "TGA", {"compression": "tga_rle"}),
        "progressive JPEG": (picture(), "JPEG", {"progressive": True}),
        "JPEG with a profile": (picture(), "JPEG", {"icc_profile": srgb}),
        "JPEG with a broken profile": (picture(), "JPEG", {"icc_profile": srgb[:99]}),
        "JPEG with broken EXIF": (picture(), "JPEG", {"exif": b"Exif\0\0MM\0*\0\0\0\xff\xff\xff"}),
        "JPEG with a comment": (picture(), "JPEG", {"comment": b"x" * 60_000}),
        "MPO": (picture(), "MPO", many),
        "animated GIF": (picture("P"), "GIF", many),
        "GIF with transparency": (picture("P"), "GIF", {"transparency": 0}),
        "animated PNG": (picture(), "PNG", many),
        "animated WebP": (picture(), "WEBP", many),
        "WebP": (picture(), "WEBP", {}),
        "WebP with transparency": (picture("RGBA"), "WEBP", {"lossless": True}),
        "AVIF": (picture(), "AVIF", {}),
        "JPEG 2000": (picture(), "JPEG2000", {}),
        "QOI": (picture(), "QOI", {}),
        "one pixel": (picture(size=(1, 1)), "PNG", {}),
        "a row": (picture(size=(900, 1)), "PNG", {}),
        "a column": (picture(size=(1, 900)), "JPEG", {}),
    }
    files = {
        name: saved(image, kind, **options)
        for name, (image, kind, options) in kinds.items()
        if kind not in CODECS or features.check(CODECS[kind])
    }
    deep = {f"PNG of {n} x 16 bits": deep_png(n) for n in (3, 4)}
    dim = {f"PNG of {n} x 12 bits": deep_png(n, 1 / 16) for n in (3, 4)}
    return files | deep | dim


def packed(way: str) -> dict[str, Any]:
    """Return the options of a TIFF's compression."""
    return {"compression": way}


PNG = ("RGB", "RGBA", "L", "LA", "P", "1", "I;16")
TIFF = ("RGB", "RGBA", "L", "CMYK", "I;16", "I", "F", "1", "LAB", "YCbCr")


def chunk(name: bytes, content: bytes) -> bytes:
    """Return a part of a PNG."""
    return struct.pack(">I", len(content)) + name + content + _checksum(name + content)


def _checksum(content: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(content))


def bomb(width: int, height: int, depth: int = 1, color: int = 0) -> bytes:
    """Return a PNG of that size, all black, in few bytes."""
    channels = {0: 1, 2: 3, 6: 4}[color]
    row = bytes(1 + (width * depth * channels + 7) // 8)
    packer = zlib.compressobj(9)
    lines = b"".join([packer.compress(row) for _ in range(height)]) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
