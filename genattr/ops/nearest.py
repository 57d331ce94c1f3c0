"""The nearest known pixel of each hole pixel, of several equally near ones always the same.

It is in the first column that has one, and there in the upper row: what SciPy's distance transform
gives. A CPU uses that, other devices an exact transform in PyTorch.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from genattr.ops.crops import bounds

ROOM = 1 << 24  # distances computed at once
KEPT = 1 << 14  # pixels of the largest windows whose result is kept: sliding patches repeat it
Pixels = tuple[Tensor, ...]


def nearest_known(hole: Tensor, pixels: Pixels) -> tuple[Tensor, Tensor]:
    """Return y and x of each hole pixel's nearest known pixel.

    Parameters
    ----------
    hole
        (B, 1, H, W) bool.
    pixels
        Row of the batch, y and x of the hole's n pixels, (n,) each, in the order of ``nonzero``.

    Returns
    -------
    (n,) int64 each, on the hole's device; any pixels of the photo where all of it is removed.
    """
    if hole.device.type == "cpu":
        return nearest_by_scipy(hole)
    return nearest_by_columns(hole, pixels)


def nearest_by_scipy(hole: Tensor) -> tuple[Tensor, Tensor]:
    """Find them row by row; everything outside a hole's bounding box is known.

    So one pixel around it is enough.
    """
    (y0, y1, _), (x0, x1, _) = bounds(hole)
    masks = hole[:, 0].numpy()
    found = [np.empty((2, 0), np.int64)]
    ends = torch.stack([y0 - 1, y1 + 2, x0 - 1, x1 + 2], dim=1).clamp(min=0).tolist()
    for mask, (top, bottom, left, right) in zip(masks, ends, strict=True):
        window = mask[top:bottom, left:right]
        if window.any():
            found.append(_of_window(window) + np.array([[top], [left]]))
    y, x = torch.from_numpy(np.hstack(found))
    return y, x


def _of_window(window: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the (2, n) nearest known pixels of the n hole pixels of a window."""
    find = _kept if window.size <= KEPT else _kept.__wrapped__
    return find(window.tobytes(), window.shape[1])


@lru_cache(maxsize=64)
def _kept(bits: bytes, width: int) -> NDArray[np.int64]:
    window = np.frombuffer(bits, bool).reshape(-1, width)
    if window.all():
        return np.argwhere(window).T
    indices = distance_transform_edt(window, return_distances=False, return_indices=True)
    nearest: NDArray[np.int64] = indices.reshape(2, -1)[:, np.flatnonzero(window)].astype(np.int64)
    return nearest


def nearest_by_columns(hole: Tensor, pixels: Pixels) -> tuple[Tensor, Tensor]:
    """Find them for all rows at once: the nearest in each column, and of these the nearest."""
    y, x = transform(hole[:, 0])
    return y[pixels], x[pixels]


def transform(hole: Tensor) -> tuple[Tensor, Tensor]:
    """Return y and x, (B, H, W) int64 each, of the nearest known pixel of each pixel.

    Parameters
    ----------
    hole
        (B, H, W) bool, True = not known.
    """
    height, width = hole.shape[-2:]
    in_column, distance = _in_column(hole)
    dtype = torch.int32 if 2 * (height**2 + width**2) * width < 2**31 else torch.int64
    column = torch.arange(width, device=hole.device, dtype=dtype)
    key = distance.to(dtype) ** 2 * width + column
    apart = (column[:, None] - column) ** 2 * width
    lines = key.view(-1, 1, width).split(max(1, ROOM // width**2))
    best = torch.cat([(part + apart).amin(dim=2) for part in lines])
    x = best.view(hole.shape).long() % width
    return in_column.gather(2, x), x


def _in_column(hole: Tensor) -> tuple[Tensor, Tensor]:
    """Return the y of the nearest known pixel in the same column, and the distance to it.

    A column without any counts as farther away than any pixel.
    """
    height, width = hole.shape[-2:]
    y = torch.arange(height, device=hole.device)[:, None].expand_as(hole)
    above = y.where(~hole, -2 * height).cummax(dim=1).values
    below = y.where(~hole, 3 * height).flip(1).cummin(dim=1).values.flip(1)
    nearest = above.where(y - above <= below - y, below)
    none = hole.all(dim=1, keepdim=True)
    distance = (y - nearest).abs().masked_fill(none, height + width)
    return nearest.clamp(0, height - 1), distance
