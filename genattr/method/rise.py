"""RISE: random soft masks, weighted by the probability that they leave (Petsiuk et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from genattr.errors import require
from genattr.method.base import Method
from genattr.parameters import MANY_PIXELS, Count
from genattr.probe import Probe
from genattr.types import Heatmap, Holes


@dataclass(frozen=True)
class Rise(Method):
    """The mean of random masks, each weighted by the score of the photo that it leaves.

    A mask is a grid of random bits, enlarged bilinearly to a cell more than the photo, and moved by
    a random part of a cell. The run's filler stands where a mask hides; the published code, on
    normalized images, fades to the ImageNet mean, as ``filler=gray`` does.

    Parameters
    ----------
    n_samples
        Masks.
    cells
        Of the grid along an axis.
    keep
        Probability that a cell is kept.
    """

    n_samples: Count
    cells: Annotated[int, Ge(2), MANY_PIXELS]
    keep: Annotated[float, Gt(0), Lt(1)]

    @property
    def title(self) -> str:
        return "RISE"

    def calls(self, size: int) -> int:
        require(
            self.cells <= size,
            f"method.cells={self.cells}: the classifier's images have {size} pixels",
        )
        return self.n_samples + 1

    def explain(self, probe: Probe) -> Heatmap:
        masks = self.masks(probe)
        values = masks.weighted(probe.score(masks)) / (self.n_samples * self.keep)
        largest = probe.change_range[1] / self.keep
        lowest = 0.0 if isfinite(largest) else -inf
        return probe.heatmap(values.clamp(lowest, largest), (lowest, largest))

    def sample_hole(self, heatmap: Heatmap, probe: Probe) -> Tensor:
        """Return the first mask's hole, cut at one half."""
        return self.masks(probe).expand(slice(0, 1)) >= 0.5

    def masks(self, probe: Probe) -> GridMasks:
        """Draw the masks of a photo."""
        draws = probe.generator("rise")
        kept = torch.rand(self.n_samples, self.cells, self.cells, generator=draws) < self.keep
        side = cell_size(probe.size, self.cells)
        shifts = torch.randint(side, (self.n_samples, 2), generator=draws)
        return GridMasks(kept, shifts, probe.size)


@dataclass(frozen=True)
class GridMasks(Holes):
    """Soft masks of one image, made from grids of bits only chunk by chunk.

    Attributes
    ----------
    kept
        (N, s, s) bool, True = the cell is kept.
    shifts
        (N, 2) int64: by how many pixels the enlarged grid is moved, down and across.
    size
        D.
    """

    kept: Tensor
    shifts: Tensor
    size: int

    def __len__(self) -> int:
        return len(self.kept)

    def expand(self, rows: slice) -> Tensor:
        """Return the chosen holes, one minus the masks: (n, 1, D, D) float32 in [0, 1]."""
        down, across = self._weights(rows)
        masks = down @ self.kept[rows].float() @ across.mT
        return (1 - masks).clamp(0, 1)[:, None]

    def to(self, device: torch.device) -> GridMasks:
        return GridMasks(self.kept.to(device), self.shifts.to(device), self.size)

    def weighted(self, scores: Tensor, chunk: int = 64) -> Tensor:
        """Sum the masks, each times its score.

        Parameters
        ----------
        scores
            (N,).
        chunk
            Masks that are expanded at once.

        Returns
        -------
        (D, D) float64.
        """
        total = torch.zeros(self.size, self.size, dtype=torch.double)
        for start in range(0, len(self), chunk):
            rows = slice(start, start + chunk)
            masks = 1 - self.expand(rows).double()
            total += (scores[rows].double() @ masks.flatten(1)).view_as(total)
        return total

    def _weights(self, rows: slice) -> tuple[Tensor, Tensor]:
        """Return the share of each cell in each pixel, down and across: (n, D, s) each."""
        weights = enlarging(self.size, self.kept.shape[-1]).to(self.kept.device)
        pixels = torch.arange(self.size, device=weights.device)
        down, across = (weights[start[:, None] + pixels] for start in self.shifts[rows].unbind(1))
        return down, across


def cell_size(size: int, cells: int) -> int:
    """Return the side of an enlarged cell in pixels: the cells cover the image."""
    return -(-size // cells)


def enlarging(size: int, cells: int) -> Tensor:
    """Return the weights that enlarge a row of cells to ``(cells + 1) * cell_size`` pixels.

    It is linear interpolation between the cells' centers, mirrored beyond the outermost, as
    scikit-image's ``resize`` does for the published code.

    Returns
    -------
    (pixels, cells) float32; each row adds up to 1.
    """
    pixels = (cells + 1) * cell_size(size, cells)
    place = ((torch.arange(pixels) + 0.5) * cells / pixels - 0.5).abs()
    place = (cells - 1) - (cells - 1 - place).abs()
    index = torch.arange(cells)
    return (1 - (place[:, None] - index).abs()).clamp(min=0)
