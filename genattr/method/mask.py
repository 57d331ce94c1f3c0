"""Functions of the mask methods, which learn a small grid of cells over the photo."""

from __future__ import annotations

import logging

import torch
from torch import Tensor
from torch.nn import functional

from genattr.errors import require
from genattr.probe import Probe

log = logging.getLogger(__name__)


def check_mask_size(mask_size: int, size: int) -> None:
    """Refuse more cells along an axis than the image has pixels."""
    require(
        mask_size <= size,
        f"method.mask_size={mask_size}: the classifier's images have {size} pixels",
    )


def changes_nothing(probe: Probe) -> bool:
    """Whether the filler returns the photo even for a hole over all of it: no map is possible."""
    everything = torch.ones(1, 1, probe.size, probe.size, device=probe.image.device)
    same = bool((probe.composite(everything) == probe.image).all())
    if same:
        log.warning(
            "%s: the filler gives the photo back, so its heatmap is empty", probe.sample.image_id
        )
    return same


def upsample(cells: Tensor, size: int, interpolation: str) -> Tensor:
    """Spread (n, n) cells over an image.

    Parameters
    ----------
    interpolation
        ``bilinear`` (``align_corners=False``) or ``nearest``.

    Returns
    -------
    (1, 1, size, size).
    """
    corners = None if interpolation == "nearest" else False
    return functional.interpolate(
        cells[None, None], size=(size, size), mode=interpolation, align_corners=corners
    )


def sum_by_cell(pixels: Tensor, n: int) -> Tensor:
    """Add up (size, size) pixels within each of the n x n cells of ``nearest`` upsampling."""
    size = pixels.shape[-1]
    cells = torch.arange(n, dtype=torch.float32, device=pixels.device)
    cell_of = upsample(cells.expand(n, n), size, "nearest")[0, 0, 0].long()
    rows = pixels.new_zeros(n, size).index_add_(0, cell_of, pixels)
    return pixels.new_zeros(n, n).index_add_(1, cell_of, rows)
