"""Symmetric relevance gain (SRG): a pixel-flipping score that both ends of a ranking decide.

S. Bluecher, J. Vielhaben and N. Strodthoff, "Decoupling Pixel Flipping and Occlusion Strategy for
Consistent XAI Benchmarks", TMLR 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from genattr.metric.base import Direction, Rows
from genattr.metric.pixel_order import pixel_ranks
from genattr.metric.segment_order import SegmentOrderMetric, follow
from genattr.probe import Probe
from genattr.protocols import Filler
from genattr.types import Heatmap


@dataclass(frozen=True)
class SymmetricRelevanceGain(SegmentOrderMetric):
    """Area with the least influential segments removed first, less that with the most influential.

    A map and its negative have opposite gains, and a map without differences has none. What the
    filler alone does to the probability is in both areas, so that it weighs less than in deletion.

    Parameters
    ----------
    n_segments, compactness, sigma
        SLIC's; other segmentations take ``n_segments`` or none. The count is approximate.
    segmentation
        What is removed together.
    filler
        Fills the removed segments, whatever explained.
    """

    filler: Filler

    direction: ClassVar[Direction] = "higher"

    def calls(self, size: int) -> int:
        return 2 * self.usual_calls(size)  # SLIC may make more segments than it was asked for

    def usual_calls(self, size: int) -> int:
        return 2 * self.n_segments

    def per_image(self, heatmap: Heatmap, probe: Probe) -> dict[str, Any]:
        """Return the ``gain``, the two areas of which it is made, and ``n_segments``."""
        segments = self.segments(probe.sample)
        influence = means(heatmap.to_image(probe.size), segments)
        orders = (-influence, influence)
        ranks = torch.stack([pixel_ranks(order, probe.generator("ties")) for order in orders])
        counts = torch.arange(len(influence) + 1)
        curves = follow(probe.with_filler(self.filler), segments, ranks, counts)
        least, most = curves.areas
        return {
            "gain": least - most,
            "least_first": least,
            "most_first": most,
            "n_segments": len(influence),
        }

    def aggregate(self, rows: Rows, held_out_rows: Rows) -> dict[str, float | Sequence[float]]:
        return {"gain": [row["gain"] for row in rows]}


def means(values: Tensor, segments: Tensor) -> Tensor:
    """Average a map over each segment.

    Parameters
    ----------
    values
        (D, D).
    segments
        (D, D) labels in 0..K-1.

    Returns
    -------
    (K,) float64, in which equal values have equal means.
    """
    flat = segments.flatten()
    count = flat.bincount()
    total = torch.zeros(len(count), dtype=torch.double)
    return total.index_add_(0, flat, values.flatten().double()) / count
