"""Superpixels by SLIC, shared by methods, metrics and fillers."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray
from skimage.segmentation import slic
from torch import Tensor

from genattr.ops.label_map import consecutive
from genattr.parameters import FINITE, MANY_PIXELS

Compactness = Annotated[float, Gt(0), FINITE]  # SLIC's parameters
Sigma = Annotated[float, Ge(0), FINITE, MANY_PIXELS]


def superpixels(image: Tensor, n_segments: int, compactness: float, sigma: float) -> Tensor:
    """Split a photo by SLIC.

    Parameters
    ----------
    image
        (3, D, D) RGB in [0, 1].
    n_segments
        Approximate number of superpixels.
    compactness, sigma
        Weight of distance against color, and width of the smoothing before.

    Returns
    -------
    (D, D) int64 labels, exactly 0..K-1, on the CPU.
    """
    labels = slic(
        as_pixels(image),
        n_segments=n_segments,
        compactness=compactness,
        sigma=sigma,
        start_label=0,
    )
    return consecutive(labels)


def as_pixels(image: Tensor) -> NDArray[np.float64]:
    """Turn a (3, D, D) image into scikit-image's (D, D, 3)."""
    pixels: NDArray[np.float64] = image.permute(1, 2, 0).double().cpu().numpy()
    return pixels
