"""OpenCV's classical inpainting, for the fillers that are named after its algorithms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genattr.filler.base import IMAGENET_MEAN, PlainFiller, channels, from_levels
from genattr.parameters import Radius


@dataclass(frozen=True)
class OpenCVInpainter(PlainFiller):
    """One of the algorithms of ``cv2.inpaint``.

    OpenCV works on 8 bits; only removed pixels take its values. A photo that is removed whole
    becomes gray.

    Parameters
    ----------
    radius
        Of the neighborhood that a pixel is computed from, in pixels.
    """

    radius: Radius

    inpaints: ClassVar[bool] = True
    reads_hole: ClassVar[bool] = True
    is_light: ClassVar[bool] = True
    algorithm: ClassVar[int]

    def fill(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        blank = torch.where(hole, channels(IMAGENET_MEAN, images), images)
        pixels = (blank * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        masks = hole[:, 0].to(torch.uint8).cpu().numpy()
        filled = np.stack([self._fill_one(*pair) for pair in zip(pixels, masks, strict=True)])
        return from_levels(filled, images)

    def _fill_one(self, pixels: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if mask.all():
            return pixels
        filled: NDArray[np.uint8] = cv2.inpaint(pixels, mask, self.radius, self.algorithm)
        return filled
