"""Bertalmio's Navier-Stokes method, from OpenCV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cv2

from genattr.filler.opencv import OpenCVInpainter


@dataclass(frozen=True)
class NavierStokes(OpenCVInpainter):
    """Bertalmio's Navier-Stokes method."""

    algorithm: ClassVar[int] = cv2.INPAINT_NS
