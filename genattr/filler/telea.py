"""Telea's fast marching method, from OpenCV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cv2

from genattr.filler.opencv import OpenCVInpainter


@dataclass(frozen=True)
class Telea(OpenCVInpainter):
    """Telea's fast marching method."""

    algorithm: ClassVar[int] = cv2.INPAINT_TELEA
