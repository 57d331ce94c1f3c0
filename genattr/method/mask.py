"""Functions of the mask methods, which learn a small grid of cells over the photo."""

from __future__ import annotations

import logging
from functools import cache

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
    """Spread (n, n) or (S, n, n) cells over images.

    On CUDA ``bilinear`` is a product with the weights of each axis: its own backward pass there
    adds in any order, which would change bits from run to run.

    Parameters
    ----------
    interpolation
        ``bilinear`` (``align_corners=False``) or ``nearest``.

    Returns
    -------
    (1, 1, size, size) or (S, 1, size, size).
    """
    grids = cells.reshape(-1, 1, *cells.shape[-2:])
    if interpolation == "bilinear" and cells.is_cuda:
        return spread(grids, size)
    corners = None if interpolation == "nearest" else False
    return functional.interpolate(
        grids, size=(size, size), mode=interpolation, align_corners=corners
    )


def spread(grids: Tensor, size: int) -> Tensor:
    """Upsample (..., n, m) bilinearly to (..., size, size), by products of matrices."""
    down, across = (_weights(count, size, str(grids.device)) for count in grids.shape[-2:])
    return down @ grids @ across.T


@cache
def _weights(n: int, size: int, device: str) -> Tensor:
    """Return the (size, n) weights of n cells in bilinear upsampling along one axis."""
    ones = functional.interpolate(torch.eye(n)[None], size=size, mode="linear")[0]
    return ones.T.contiguous().to(device)


def sum_by_cell(pixels: Tensor, n: int) -> Tensor:
    """Add up (..., size, size) pixels within each of the n x n cells of ``nearest`` upsampling.

    On CUDA it is a product, whose sums always have the same order.
    """
    if pixels.is_cuda:
        return gather_by_cell(pixels, n)
    *batch, size = pixels.shape[:-1]
    cell_of = _cell_of(n, size).to(pixels.device)
    rows = pixels.new_zeros(*batch, n, size).index_add_(-2, cell_of, pixels)
    return pixels.new_zeros(*batch, n, n).index_add_(-1, cell_of, rows)


def gather_by_cell(pixels: Tensor, n: int) -> Tensor:
    """Add up as ``sum_by_cell``, by products of matrices."""
    members = _members(n, pixels.shape[-1], str(pixels.device))
    return members @ pixels @ members.T


@cache
def _members(n: int, size: int, device: str) -> Tensor:
    """Return the (n, size) matrix that is 1 where a pixel lies in a cell, along one axis."""
    return functional.one_hot(_cell_of(n, size), n).T.float().contiguous().to(device)


@cache
def _cell_of(n: int, size: int) -> Tensor:
    """Return the cell of each of ``size`` pixels, along one axis, on the CPU."""
    cells = torch.arange(n, dtype=torch.float32).expand(n, n)
    return upsample(cells, size, "nearest")[0, 0, 0].long()
