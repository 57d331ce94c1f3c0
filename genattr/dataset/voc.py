"""Annotations of photos as XML, as Pascal VOC and ImageNet have them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from genattr.dataset.photo import Box
from genattr.files import content


def read_annotation(file: Path) -> Element:
    """Read an annotation; ValueError if it is no XML, or declares a type (and so, entities)."""
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(content(file), True)
    except OSError as error:
        raise ValueError(error.strerror) from error
    except (LookupError, expat.ExpatError) as error:
        raise ValueError(str(error)) from error
    return builder.close()


def _refuse(*_: Any) -> None:
    raise ValueError("it declares a document type")


def size(root: Element) -> tuple[float, float]:
    """Return width and height of the annotated photo, 0 where the XML gives none.

    Raises
    ------
    ValueError
        If they are no numbers, or such as no photo has.
    """
    width, height = (float(root.findtext(f"size/{key}") or 0) for key in ("width", "height"))
    if not (0 <= width < math.inf and 0 <= height < math.inf):
        raise ValueError(f"a photo of {width:g} x {height:g} pixels")
    return width, height


def things(root: Element) -> Iterator[tuple[str, Element]]:
    """Yield the name of each object's class, and the object."""
    for thing in root.iter("object"):
        yield thing.findtext("name", "").strip(), thing


def corners_of(thing: Element) -> tuple[str, str, str, str]:
    """Return an object's xmin, ymin, xmax and ymax, empty where they are missing."""
    xmin, ymin, xmax, ymax = (
        thing.findtext(f"bndbox/{key}", "") for key in ("xmin", "ymin", "xmax", "ymax")
    )
    return xmin, ymin, xmax, ymax


def inclusive(xmin: str, ymin: str, xmax: str, ymax: str) -> Box:
    """Turn inclusive pixel indices into a half-open box; ValueError if they are none."""
    message = (
        f"a box needs four numbers, xmin <= xmax and ymin <= ymax: {xmin} {ymin} {xmax} {ymax}"
    )
    try:
        x0, y0, x1, y1 = (float(corner) for corner in (xmin, ymin, xmax, ymax))
    except ValueError as error:
        raise ValueError(message) from error
    if not (x0 <= x1 and y0 <= y1 and all(map(math.isfinite, (x0, y0, x1, y1)))):
        raise ValueError(message)
    return x0, y0, x1 + 1, y1 + 1
