"""Mirror: an inpainter without weights.

Colors continue smoothly into the hole (pull-push); texture is mirrored across the hole's border.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn import functional

from genattr.errors import require
from genattr.filler.base import IMAGENET_MEAN, PlainFiller, channels
from genattr.filler.gaussian import gaussian, reflect

REACHES = (1.0, 0.6, 0.3)  # how far beyond the border, as a share of the distance to it
LEAST_WEIGHT = 1e-3


@dataclass(frozen=True)
class Mirror(PlainFiller):
    """A smooth base of the surrounding colors, plus the texture mirrored from outside the hole.

    A hole pixel p with nearest known pixel b takes its texture from b + t (b - p), the first known
    one for t = 1, 0.6, 0.3. A photo that is removed whole becomes gray.

    Parameters
    ----------
    sigma
        What is finer than a Gaussian of so many pixels is texture.
    """

    sigma: float

    inpaints: ClassVar[bool] = True
    reads_hole: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(self.sigma > 0, f"filler.sigma={self.sigma}: must be above 0")

    def fill(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        known = (~hole).to(images.dtype)
        visible = images * known
        filled = pull_push(visible, known)
        texture = visible - gaussian(visible, self.sigma) / gaussian(known, self.sigma).clamp(
            min=LEAST_WEIGHT
        )
        row, y, x = mirrored(hole.cpu())
        target, source = (row, y[0], x[0]), (row, y[1], x[1])
        filled[target[0], :, target[1], target[2]] += texture[source[0], :, source[1], source[2]]
        whole = hole.flatten(1).all(dim=1).view(-1, 1, 1, 1)
        return torch.where(whole, channels(IMAGENET_MEAN, images), filled.clamp(0, 1))


def pull_push(visible: Tensor, known: Tensor) -> Tensor:
    """Continue known colors into unknown pixels, smoothly, from coarse to fine.

    Parameters
    ----------
    visible
        (B, 3, H, W), 0 where unknown.
    known
        (B, 1, H, W) weights, 1 = known.
    """
    if visible.shape[-1] == 1 and visible.shape[-2] == 1:
        return visible
    weight = _halve(known)
    color = _halve(visible) / weight.clamp(min=1e-12)
    weight = (4 * weight).clamp(max=1)
    coarse = pull_push(color * weight, weight)
    upsampled = functional.interpolate(
        coarse, size=visible.shape[-2:], mode="bilinear", align_corners=False
    )
    return visible + (1 - known) * upsampled


def _halve(images: Tensor) -> Tensor:
    return functional.avg_pool2d(images, 2, ceil_mode=True, count_include_pad=False)


def mirrored(hole: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Find where each hole pixel takes its texture from.

    Parameters
    ----------
    hole
        (B, 1, H, W) bool on the CPU.

    Returns
    -------
    Rows of the batch, then (hole pixel, source pixel) as y and as x; pixels without a source are
    left out.
    """
    height, width = hole.shape[-2:]
    row, y, x = hole[:, 0].nonzero().unbind(1)
    if len(row) == 0:
        return row, (y, y), (x, x)
    nearest = torch.from_numpy(np.hstack([_nearest_known(one) for one in hole[:, 0].numpy()]))
    found = torch.zeros(len(row), dtype=torch.bool)
    source_y, source_x = y.clone(), x.clone()
    for reach in REACHES:
        here_y = reflect(_beyond(y, nearest[0], reach), height)
        here_x = reflect(_beyond(x, nearest[1], reach), width)
        usable = ~found & ~hole[row, 0, here_y, here_x]
        source_y[usable], source_x[usable] = here_y[usable], here_x[usable]
        found |= usable
    return row[found], (y[found], source_y[found]), (x[found], source_x[found])


def _beyond(pixel: Tensor, border: Tensor, reach: float) -> Tensor:
    return (border + reach * (border - pixel)).round().long()


def _nearest_known(hole: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the (2, n) nearest known pixels of the n hole pixels, row by row.

    Everything outside the hole's bounding box is known, so that one pixel around it is enough.
    """
    if not hole.any() or hole.all():
        return np.argwhere(hole).T
    window, top, left = _surroundings(hole)
    indices = distance_transform_edt(window, return_distances=False, return_indices=True)
    corner = np.array([[top], [left]])
    found: NDArray[np.int64] = indices[:, window].astype(np.int64) + corner
    return found


def _surroundings(hole: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], int, int]:
    """Cut out the hole's bounding box and one pixel around it; return its top and left too."""
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    top, left = max(rows[0] - 1, 0), max(columns[0] - 1, 0)
    return hole[top : rows[-1] + 2, left : columns[-1] + 2], int(top), int(left)
