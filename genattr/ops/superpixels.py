"""Superpixels, the same for every part of the project that needs them."""

from __future__ import annotations

import math

import numpy as np
import torch
from skimage.segmentation import slic
from torch import Tensor

from genattr.errors import require


def check_slic(group: str, compactness: float, sigma: float) -> None:
    """Refuse values that SLIC cannot work with, by their keys in a group of the configuration."""
    require(
        0 < compactness < math.inf, f"{group}.compactness={compactness}: must be above 0 and finite"
    )
    require(0 <= sigma < math.inf, f"{group}.sigma={sigma}: must be at least 0 and finite")


def superpixels(image: Tensor, n_segments: int, compactness: float, sigma: float) -> Tensor:
    """Split a photo by SLIC.

    Parameters
    ----------
    image
        (3, D, D) RGB in [0, 1].
    n_segments
        About how many; SLIC decides.
    compactness, sigma
        Weight of nearness against color, and width of the smoothing before.

    Returns
    -------
    (D, D) int64 labels, exactly 0..K-1, on the CPU.
    """
    pixels = image.permute(1, 2, 0).double().cpu().numpy()
    labels = slic(
        pixels, n_segments=n_segments, compactness=compactness, sigma=sigma, start_label=0
    )
    _, consecutive = np.unique(labels, return_inverse=True)
    return torch.from_numpy(consecutive.reshape(labels.shape).astype(np.int64))
