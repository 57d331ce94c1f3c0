"""What deletion and insertion share: pixels ranked by a heatmap, removed step by step (RISE)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genattr.errors import require
from genattr.probe import Probe
from genattr.types import DenseHoles, Filler, Heatmap


@dataclass(frozen=True)
class PixelOrderMetric(ABC):
    """Area under the target's probability while pixels go or come, highest attribution first.

    Parameters
    ----------
    filler
        What stands where pixels are removed.
    pixels_per_step
        Pixels a step; None: 8 * D.
    tie_seeds
        Random orders of equal attributions to average over.
    """

    filler: Filler
    pixels_per_step: int | None
    tie_seeds: int

    def __post_init__(self) -> None:
        require(self.tie_seeds >= 1, f"metric tie_seeds={self.tie_seeds}: must be at least 1")
        require(
            self.pixels_per_step is None or self.pixels_per_step >= 1,
            f"metric pixels_per_step={self.pixels_per_step}: must be at least 1, or null for 8 * D",
        )

    @abstractmethod
    def removed(self, ranks: Tensor, counts: Tensor) -> Tensor:
        """Say which pixels are removed when ``counts`` of them have been handled.

        Parameters
        ----------
        ranks
            (D, D), 0 = highest attribution.
        counts
            (steps, 1, 1) pixels handled so far.
        """

    def calls(self, size: int) -> int:
        return self.tie_seeds * (len(self._counts(size)) - 2) + 2

    def per_image(self, heatmap: Heatmap, probe: Probe) -> dict[str, Any]:
        """Return ``auc`` and the ``curve`` of probabilities, both ends included."""
        judge = probe.with_filler(self.filler)
        orders = _orders(heatmap.to_image(probe.size), self.tie_seeds, probe.generator("ties"))
        counts = self._counts(probe.size)
        curve = self._curves(judge, orders, counts).mean(dim=0).numpy()
        area = np.trapezoid(curve, counts / counts[-1])
        return {"auc": float(area), "curve": curve.tolist()}

    def aggregate(
        self, rows: Sequence[Mapping[str, Any]], held_out_rows: Sequence[Mapping[str, Any]]
    ) -> dict[str, float | Sequence[float]]:
        return {"auc": [row["auc"] for row in rows]}

    def _curves(self, judge: Probe, orders: Sequence[Tensor], counts: Tensor) -> Tensor:
        """Score all orders together, in full batches; their ends, which they share, once.

        Returns
        -------
        (orders, steps).
        """
        ends = self.removed(orders[0], counts[[0, -1], None, None])
        between = [self.removed(ranks, counts[1:-1, None, None]) for ranks in orders]
        scores = judge.score(DenseHoles(torch.cat([ends, *between])[:, None])).double()
        first, last = scores[:2, None, None].expand(-1, len(orders), 1)
        return torch.cat([first, scores[2:].view(len(orders), len(counts) - 2), last], dim=1)

    def _counts(self, size: int) -> Tensor:
        """Return how many pixels are handled after each step, from 0 to all."""
        total = size * size
        step = self.pixels_per_step or 8 * size
        return torch.cat([torch.arange(0, total, step), torch.tensor([total])])


def _orders(values: Tensor, tie_seeds: int, generator: torch.Generator) -> list[Tensor]:
    """Rank the pixels once a tie seed, or once where no two pixels tie."""
    has_ties = len(values.unique()) < values.numel()
    return [pixel_ranks(values, generator) for _ in range(tie_seeds if has_ties else 1)]


def pixel_ranks(values: Tensor, generator: torch.Generator) -> Tensor:
    """Rank pixels from the highest (0) to the lowest, ties in random order.

    Parameters
    ----------
    values
        (D, D).
    """
    shuffled = torch.randperm(values.numel(), generator=generator)
    order = shuffled[values.flatten()[shuffled].argsort(descending=True, stable=True)]
    ranks = torch.empty_like(order)
    ranks[order] = torch.arange(len(order))
    return ranks.view(values.shape)
