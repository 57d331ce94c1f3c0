"""Base of deletion and insertion: pixels ranked by a heatmap, removed step by step (RISE)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from genattr.metric.base import Metric, Rows
from genattr.parameters import Allowed, Count
from genattr.probe import Probe
from genattr.protocols import Filler
from genattr.types import DenseHoles, Heatmap

Step = Annotated[Count, Allowed("at least 1, or null for 8 * D")]


@dataclass(frozen=True)
class PixelOrderMetric(Metric):
    """Area under the target's probability while pixels are removed or inserted in order.

    Parameters
    ----------
    filler
        Fills the removed pixels, whatever explained.
    pixels_per_step
        Pixels per step; None: 8 * D.
    tie_seeds
        Random orders of equal attributions to average over.
    """

    filler: Filler
    pixels_per_step: Step | None
    tie_seeds: Count

    @abstractmethod
    def removed(self, ranks: Tensor, counts: Tensor) -> Tensor:
        """Return which pixels are removed when ``counts`` of them have been handled.

        Parameters
        ----------
        ranks
            (D, D), 0 = highest attribution.
        counts
            (steps, 1, 1) pixels handled so far.
        """

    def calls(self, size: int) -> int:
        return self.tie_seeds * (len(self._counts(size)) - 2) + 2

    def usual_calls(self, size: int) -> int:
        return len(self._counts(size))

    def per_image(self, heatmap: Heatmap, probe: Probe) -> dict[str, Any]:
        """Return ``auc`` and the ``curve`` of probabilities, both ends included."""
        judge = probe.with_filler(self.filler)
        counts = self._counts(probe.size)
        values = heatmap.to_image(probe.size)
        orders = _orders(values, counts, self.tie_seeds, probe.generator("ties"))
        curve = self._curves(judge, orders, counts).mean(dim=0).numpy()
        area = np.trapezoid(curve, counts / counts[-1])
        return {"auc": float(area), "curve": curve.tolist()}

    def aggregate(self, rows: Rows, held_out_rows: Rows) -> dict[str, float | Sequence[float]]:
        return {"auc": [row["auc"] for row in rows]}

    def _curves(self, judge: Probe, orders: Sequence[Tensor], counts: Tensor) -> Tensor:
        """Score the holes of all orders in full batches, and holes that orders share only once.

        Orders share both ends, and each step that does not separate pixels of equal value.

        Returns
        -------
        (orders, steps).
        """
        holes = torch.cat([self.removed(ranks, counts[:, None, None]) for ranks in orders])
        distinct, which = holes.unique(dim=0, return_inverse=True)
        scores = judge.score(DenseHoles(distinct[:, None])).double()
        return scores[which].view(len(orders), len(counts))

    def _counts(self, size: int) -> Tensor:
        """Return how many pixels are handled after each step, from 0 to all."""
        total = size * size
        step = self.pixels_per_step or 8 * size
        return torch.cat([torch.arange(0, total, step), torch.tensor([total])])


def _orders(
    values: Tensor, counts: Tensor, tie_seeds: int, generator: torch.Generator
) -> list[Tensor]:
    """Rank the pixels once per tie seed, or only once if no step separates equal pixels."""
    ordered = values.flatten().sort(descending=True).values
    has_ties = bool((ordered[counts[1:-1] - 1] == ordered[counts[1:-1]]).any())
    return [pixel_ranks(values, generator) for _ in range(tie_seeds if has_ties else 1)]


def pixel_ranks(values: Tensor, generator: torch.Generator) -> Tensor:
    """Rank pixels, or segments, from the highest (0) to the lowest, ties in random order.

    Parameters
    ----------
    values
        Of any shape, which the ranks have, too.
    """
    shuffled = torch.randperm(values.numel(), generator=generator)
    order = shuffled[values.flatten()[shuffled].argsort(descending=True, stable=True)]
    ranks = torch.empty_like(order)
    ranks[order] = torch.arange(len(order))
    return ranks.view(values.shape)
