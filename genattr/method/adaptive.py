"""Sliding-Patch on part of the windows: one in nine, then more where the heatmap changes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

Score = Callable[[Tensor], Tensor]

AROUND = 5  # cells, down and across: holds the corners of every gap of the coarse grid
NEIGHBORS = 12  # evaluated cells that another one is interpolated from
LEVELS = 1000  # of change between none and the heatmap's range: less is rounding error
SMALLEST = 4  # cells along an axis; a smaller grid is evaluated completely


def search(
    score: Score, cells: int, tolerance: float, budget: float, last_step: float = 1.0
) -> Tensor:
    """Return a (cells, cells) map in which the cells that change most are evaluated exactly.

    The others are interpolated, between the lowest and the highest evaluated cell around them.

    Parameters
    ----------
    score
        From (k,) cells, row by row, to their values.
    tolerance
        Where evaluated cells differ by no more than this share of the heatmap's range, no further
        ones are evaluated.
    budget
        Largest share of the cells that is evaluated; the coarse grid always is.
    last_step
        Distance of the last two rows and columns, as a share of that of the others.
    """
    coarse, *finer = lattices(cells)
    values = torch.full((cells, cells), torch.nan)
    cells_evaluated = coarse.flatten().nonzero()[:, 0]
    values.view(-1)[cells_evaluated] = score(cells_evaluated)
    for lattice in finer:
        room = most(cells, budget) - int((~values.isnan()).sum())
        chosen = changing(values, lattice, tolerance)[:room].sort().values
        if len(chosen) > 0:
            values.view(-1)[chosen] = score(chosen)
    return interpolated(values, last_step)


def most(cells: int, budget: float) -> int:
    """Bound the cells that are evaluated of a (cells, cells) map."""
    return max(int(budget * cells**2), int(lattices(cells)[0].sum()))


def lattices(cells: int) -> list[Tensor]:
    """Return ever finer (cells, cells) grids, each within the next: about 1/9, 1/3, all cells."""
    every = torch.ones(cells, cells, dtype=torch.bool)
    if cells < SMALLEST:
        return [every]
    place = torch.arange(cells)
    third = (place % 3 == 0) | (place == cells - 1)
    coarse = third[:, None] & third
    return [coarse, coarse | ((place[:, None] + place) % 3 == 0), every]


def changing(values: Tensor, lattice: Tensor, tolerance: float) -> Tensor:
    """Return open cells of a grid whose evaluated neighbors differ, largest difference first."""
    low, high = around(values)
    evaluated = values[~values.isnan()]
    change = (high - low) / (evaluated.max() - evaluated.min()).clamp(min=torch.finfo().tiny)
    change = (change * LEVELS).round() / LEVELS
    wanted = values.isnan() & lattice & (change > tolerance)
    order = change.flatten().argsort(descending=True, stable=True)
    return order[wanted.flatten()[order]]


def around(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the lowest and the highest evaluated value around each cell."""

    def highest(map_: Tensor) -> Tensor:
        filled = map_.nan_to_num(nan=-torch.inf)[None, None]
        return functional.max_pool2d(filled, AROUND, stride=1, padding=AROUND // 2)[0, 0]

    return -highest(-values), highest(values)


def interpolated(values: Tensor, last_step: float = 1.0) -> Tensor:
    """Interpolate open cells (NaN) from the nearest evaluated cells, by their true distances."""
    from scipy.interpolate import RBFInterpolator

    unknown = values.isnan().numpy()
    if not unknown.any():
        return values
    place = np.arange(len(unknown), dtype=float)
    place[-1] -= 1 - last_step
    known, open_ = place[np.argwhere(~unknown)], place[np.argwhere(unknown)]
    evaluated = values.numpy()[~unknown]
    spline = RBFInterpolator(known, evaluated, neighbors=NEIGHBORS, kernel="linear", degree=0)
    filled = values.clone()
    filled[torch.from_numpy(unknown)] = torch.from_numpy(spline(open_)).float()
    return filled.clamp(*around(values))
