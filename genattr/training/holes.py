"""Holes of every kind that attribution methods cut, drawn at random.

Every drawing function takes a count, the side of the crops in pixels and a generator, and returns
(count, side, side) bool on the generator's device, True = removed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from genattr.training.draws import Draws, normal, uniform, whole

MOST = 0.85  # share of a crop that may be removed
CELL = 8  # pixels, of ``cells``
SUPERPIXELS = 128  # irregular cells over a crop or more
CORNERS = 8  # of a stroke
BOXES = 6  # rectangles at most

Draw = Callable[[int, int, torch.Generator], Tensor]


def draw(count: int, side: int, mixture: Mapping[str, float], draws: Draws) -> Tensor:
    """Draw holes of a mixture of kinds; none is empty and none removes more than 85 %.

    Parameters
    ----------
    mixture
        How often each of ``KINDS`` is drawn, relative to the others.

    Returns
    -------
    (count, 1, side, side) float, 1 = removed.
    """
    shares = torch.tensor([float(mixture[kind]) for kind in KINDS], dtype=torch.float64)
    counts = draws.host.multinomial(count, (shares / shares.sum()).numpy())
    drawn = [
        KINDS[kind](int(number), side, draws.generator)
        for kind, number in zip(KINDS, counts, strict=True)
        if number
    ]
    holes = torch.cat(drawn)
    removed = holes.float().mean((1, 2))
    good = (removed > 0) & (removed <= MOST)
    spare = _squares(count, side, draws.generator)
    return torch.where(good[:, None, None], holes, spare)[:, None].float()


def _squares(count: int, side: int, generator: torch.Generator) -> Tensor:
    """Draw a patch of 5 to 60 px, mostly in the middle, else perhaps over an edge."""
    length = (5 + 55 * uniform(generator, count, 1) ** 1.3).round()
    length = length.clamp(max=0.7 * side)
    middle = ((side - length) / 2).floor()
    anywhere = (uniform(generator, count, 2) * (side - 0.6 * length) - 0.2 * length).floor()
    corner = torch.where(uniform(generator, count, 1) < 0.6, middle, anywhere)
    line = torch.arange(side, device=generator.device)
    rows = (line >= corner[:, :1]) & (line < corner[:, :1] + length)
    columns = (line >= corner[:, 1:]) & (line < corner[:, 1:] + length)
    return rows[:, :, None] & columns[:, None, :]


def _boxes(count: int, side: int, generator: torch.Generator) -> Tensor:
    """Draw 1 to 6 rectangles, the first the largest: whole objects and clutter."""
    number = whole(generator, count, 1, 1, low=1, high=BOXES + 1)
    holes = torch.zeros(count, side, side, dtype=torch.bool, device=generator.device)
    for index in range(BOXES):
        longest = 0.4 if index else 0.7
        holes |= _box(count, side, longest, generator) & (index < number)
    return holes


def _box(count: int, side: int, longest: float, generator: torch.Generator) -> Tensor:
    """Draw a rectangle with sides from 8 % of the crop up to a share, its center anywhere."""
    extent = uniform(generator, count, 2, low=0.08 * side, high=longest * side)
    center = uniform(generator, count, 2, high=side)
    line = torch.arange(side, device=generator.device)
    inside = (line - center[:, :, None]).abs() * 2 < extent[:, :, None]
    return inside[:, 0, :, None] & inside[:, 1, None, :]


def _cells(count: int, side: int, generator: torch.Generator) -> Tensor:
    """Draw blobs of cells of 8 px, from a few cells to most of the crop, on a shifted grid."""
    grid = side // CELL + 1
    tightness = uniform(generator, count, 1, 1, high=20)
    score = _noise(count, grid, (3, 5, 9), generator) - tightness * _distance(
        count, grid, generator
    )
    removed = _highest(score, 0.01 + 0.69 * uniform(generator, count) ** 1.5)
    down, right = whole(generator, 2, count, low=0, high=CELL)
    line = torch.arange(side, device=generator.device)
    rows, columns = (line + down[:, None]) // CELL, (line + right[:, None]) // CELL
    return _looked_up(removed, rows, columns)


def _looked_up(cells: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return, for (N, g, g) cells, those at (N, S) rows and (N, S) columns: (N, S, S)."""
    samples = torch.arange(len(cells), device=cells.device)[:, None, None]
    return cells[samples, rows[:, :, None], columns[:, None, :]]


def _objects(count: int, side: int, generator: torch.Generator) -> Tensor:
    """Draw one smooth blob of 8 to 55 % of the crop."""
    grid = side // 4
    tightness = uniform(generator, count, 1, 1, low=8, high=40)
    noise = 0.5 * _noise(count, grid, (5, 9), generator)
    score = noise - tightness * _distance(count, grid, generator)
    blob = _highest(score, uniform(generator, count, low=0.08, high=0.55))[:, None].float()
    smooth = functional.interpolate(blob, size=(side, side), mode="bilinear", align_corners=False)
    return smooth[:, 0] > 0.5


def _superpixels(count: int, side: int, generator: torch.Generator) -> Tensor:
    """Draw irregular cells, of which each is removed with a probability of .25 to .6, as in LIME.

    They are the nearest-neighbor cells of random points, seen through a wavy glass; the crop shows
    all of them or, as if it were a part of a photo, some.
    """
    grid = side // 2
    zoom = torch.exp(uniform(generator, count, 1, 1))
    origin = uniform(generator, count, 1, 2) * (zoom - 1)
    points = uniform(generator, count, SUPERPIXELS, 2) * zoom - origin
    waves = uniform(generator, count, 1, 1, high=0.035)
    line = _centers(grid, generator.device)
    rows = line[:, None] + waves * _noise(count, grid, (3, 7), generator)
    columns = line[None, :] + waves * _noise(count, grid, (3, 7), generator)
    places = torch.stack([rows, columns], dim=-1).view(count, grid * grid, 2)
    cell = _nearest(places, points)
    likely = uniform(generator, count, 1, low=0.25, high=0.6)
    removed = uniform(generator, count, SUPERPIXELS) < likely
    return _doubled(removed.gather(1, cell).view(count, grid, grid))


def _nearest(places: Tensor, points: Tensor) -> Tensor:
    """Return the index of the nearest of (N, K, 2) points for (N, P, 2) places: (N, P)."""
    mixed = places @ points.transpose(1, 2)  # |place|^2 is the same for all points
    return (points.square().sum(-1)[:, None] - 2 * mixed).argmin(-1)


def _strokes(count: int, side: int, generator: torch.Generator) -> Tensor:
    """Draw a thick polyline that the crop's edges reflect."""
    grid = side // 2
    corners = _walk(count, generator)
    line = _centers(grid, generator.device)
    places = torch.stack(torch.meshgrid(line, line, indexing="ij"), dim=-1).view(1, grid * grid, 2)
    radius = uniform(generator, count, 1, low=0.015, high=0.07)
    holes = torch.zeros(count, grid * grid, dtype=torch.bool, device=generator.device)
    for index in range(CORNERS - 1):
        start, end = corners[:, index, None], corners[:, index + 1, None]
        holes |= _squared_distance(places, start, end) < radius.square()
    return _doubled(holes.view(count, grid, grid))


def _walk(count: int, generator: torch.Generator) -> Tensor:
    """Draw the (count, CORNERS, 2) corners of polylines in [0, 1]^2 that turn by at most 92°."""
    turns = uniform(generator, count, CORNERS, low=-1.6, high=1.6)
    angle = turns.cumsum(1) + uniform(generator, count, 1, high=2 * torch.pi)
    length = uniform(generator, count, CORNERS, low=0.08, high=0.35)
    moves = torch.stack([angle.sin() * length, angle.cos() * length], dim=-1)
    corners = (moves.cumsum(1) + uniform(generator, count, 1, 2)) % 2
    return torch.where(corners > 1, 2 - corners, corners)


def _squared_distance(places: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Return squared distances of (1, P, 2) places to segments from (N, 1, 2) to (N, 1, 2)."""
    along = end - start
    share = ((places - start) * along).sum(-1) / (along.square().sum(-1) + 1e-6)
    foot = start + share.clamp(0, 1)[..., None] * along
    return (places - foot).square().sum(-1)


def _noise(count: int, grid: int, windows: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw (count, grid, grid) noise: a sum of smoothed ones of standard deviation 1."""
    white = normal(generator, count, 1, grid + 16, grid + 16)
    total = torch.zeros(count, grid, grid, device=generator.device)
    for window in windows:
        smooth = functional.avg_pool2d(functional.avg_pool2d(white, window, 1), window, 1)
        smooth = smooth[:, 0, :grid, :grid]
        scaled = smooth / smooth.std((1, 2), keepdim=True).clamp_min(1e-4)
        total = total + scaled * uniform(generator, count, 1, 1)
    return total


def _distance(count: int, grid: int, generator: torch.Generator) -> Tensor:
    """Draw (count, grid, grid) squared elliptic distances from a point near the middle."""
    line = _centers(grid, generator.device)
    center = uniform(generator, count, 2, 1, low=0.2, high=0.8)
    stretch = torch.exp(uniform(generator, count, 1, low=-0.6, high=0.6))
    rows = ((line - center[:, 0]) * stretch).square()
    columns = ((line - center[:, 1]) / stretch).square()
    return rows[:, :, None] + columns[:, None, :]


def _highest(score: Tensor, share: Tensor) -> Tensor:
    """Mark, in each of (N, g, g) scores, about the highest share (N,) of them."""
    ordered = score.flatten(1).sort(1).values
    index = ((1 - share) * ordered.shape[1]).long().clamp(0, ordered.shape[1] - 1)
    return score > ordered.gather(1, index[:, None])[:, :, None]


def _centers(grid: int, device: torch.device) -> Tensor:
    """Return the centers of cells on [0, 1]."""
    return (torch.arange(grid, device=device) + 0.5) / grid


def _doubled(cells: Tensor) -> Tensor:
    return cells.repeat_interleave(2, 1).repeat_interleave(2, 2)


KINDS: Mapping[str, Draw] = {
    "square": _squares,
    "superpixels": _superpixels,
    "cells": _cells,
    "object": _objects,
    "boxes": _boxes,
    "strokes": _strokes,
}
