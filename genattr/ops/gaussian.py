"""A Gaussian filter for batches of images."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

CUT = 4.0  # standard deviations


def gaussian(images: Tensor, sigma: float) -> Tensor:
    """Smooth height and width, cut at 4 sigma, reflected without repeating the edge pixel.

    Parameters
    ----------
    images
        (B, C, H, W).
    sigma
        In pixels.

    Returns
    -------
    (B, C, H, W).
    """
    height, width = images.shape[-2:]
    return smoothing(height, sigma, images) @ images @ smoothing(width, sigma, images).T


def radius(sigma: float) -> int:
    """Return how many pixels away the filter reads."""
    return int(CUT * sigma + 0.5)


def smoothing(size: int, sigma: float, like: Tensor) -> Tensor:
    """Return the (size, size) matrix that smooths one axis, faster than a convolution.

    It is computed once for each device and dtype, and must not be written to.
    """
    return _matrix(size, sigma, like.dtype, like.device)


@lru_cache(maxsize=32)
def _matrix(size: int, sigma: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    reach = radius(sigma)
    offset = torch.arange(-reach, reach + 1, device=device)
    weights = torch.exp(-(offset**2) / (2 * sigma**2)).to(dtype)
    target = torch.arange(size, device=device)[:, None]
    source = reflect(target + offset, size)
    matrix = torch.zeros(size, size, dtype=dtype, device=device)
    return matrix.scatter_add_(1, source, (weights / weights.sum()).expand(size, -1))


def reflect(position: Tensor, size: int) -> Tensor:
    """Fold positions into 0..size-1 at the edges, without repeating the edge pixel."""
    if size == 1:
        return torch.zeros_like(position)
    period = 2 * (size - 1)
    folded = position.remainder(period)
    return torch.minimum(folded, period - folded)
