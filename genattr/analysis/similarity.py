"""Similarity of two heatmaps: SSIM, Pearson correlation of HOG features, Spearman correlation.

The paper's section 4.4, with the choices of docs/methods.md: maps at the classifier's resolution,
signed maps divided by their own largest |value|.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genattr.errors import require
from genattr.types import Heatmap

MEASURES = ("ssim", "hog", "spearman")
SSIM_WINDOW = 5  # pixels
HOG_CELL = 16
HOG_BLOCK = 3  # cells: scikit-image's default
Array = NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """A heatmap as it is compared.

    Attributes
    ----------
    pixels
        (D, D): in [0, 1] if the method's maps have this range by construction, else divided by
        the largest |value|.
    data_range
        Width of the range that such maps can take: 1 or 2.
    """

    pixels: Array
    data_range: float

    @property
    def is_constant(self) -> bool:
        """Whether all pixels are equal: similarities of such a map are undefined."""
        return bool(self.pixels.min() == self.pixels.max())

    @cached_property
    def hog(self) -> Array:
        """HOG features of the map, with cells of 16 pixels."""
        from skimage.feature import hog

        features: Array = hog(self.pixels, pixels_per_cell=(HOG_CELL, HOG_CELL))
        return features

    @cached_property
    def ranks(self) -> Array:
        """Rank of each pixel; tied ones share their mean rank."""
        from scipy.stats import rankdata

        ranks: Array = rankdata(self.pixels, axis=None)
        return ranks


def view(heatmap: Heatmap, size: int) -> View:
    """Resize a heatmap to size x size and scale it for comparisons.

    Raises
    ------
    UserError
        If the size is too small for HOG's blocks.
    """
    least = HOG_CELL * HOG_BLOCK
    require(size >= least, f"similarity needs maps of {least} pixels; the classifier takes {size}")
    return scaled(heatmap, size)


def scaled(heatmap: Heatmap, size: int) -> View:
    """Resize a heatmap to size x size and scale it, as ``view``, for measures other than HOG's."""
    pixels = heatmap.to_image(size).numpy().astype(np.float64)
    low, high = heatmap.value_range
    if low >= 0 and high <= 1:
        return View(pixels, 1.0)
    return View(pixels / (np.abs(pixels).max() or 1.0), 2.0)


def similarity(first: View, second: View) -> tuple[float, float, float]:
    """Return SSIM, Pearson's r of the HOG features and Spearman's rho; 1 for equal maps.

    All are NaN if one of the maps is constant; HOG's also where a map has no gradient at all.
    """
    if first.is_constant or second.is_constant:
        return math.nan, math.nan, math.nan
    return (
        ssim(first, second),
        _pearson(first.hog, second.hog),
        rank_correlation(first, second),
    )


def pair_similarities(heatmaps: Sequence[Heatmap], size: int) -> Array:
    """Compare the heatmaps of one photo, each with each.

    Parameters
    ----------
    heatmaps
        k maps, one per setting.
    size
        D.

    Returns
    -------
    (k (k - 1) / 2, 3): one row per pair, in the order of ``pairs``; one column per measure.
    """
    views = [view(heatmap, size) for heatmap in heatmaps]
    return np.array([similarity(first, second) for first, second in combinations(views, 2)])


def pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs of k settings, in the order in which they are compared."""
    return list(combinations(names, 2))


def rank_correlation(first: View, second: View) -> float:
    """Return Spearman's rho of the pixels; NaN if one of the maps is constant."""
    return _pearson(first.ranks, second.ranks)


def ssim(first: View, second: View) -> float:
    """Return the structural similarity, with the data range of signed maps if one is signed."""
    from skimage.metrics import structural_similarity

    value: Any = structural_similarity(
        first.pixels,
        second.pixels,
        win_size=SSIM_WINDOW,
        data_range=max(first.data_range, second.data_range),
    )
    return float(value)


def _pearson(first: Array, second: Array) -> float:
    """Return Pearson's r; NaN if one side does not vary."""
    a, b = first - first.mean(), second - second.mean()
    norm = np.linalg.norm(a) * np.linalg.norm(b)
    return float(np.clip(a @ b / norm, -1, 1)) if norm > 0 else math.nan
