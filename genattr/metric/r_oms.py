"""R-OMS, reference out of model scope: how long a classifier recognizes a photo under a filler.

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
from genattr.metric.segment_order import SegmentOrderMetric, follow
from genattr.parameters import Count
from genattr.probe import Probe
from genattr.protocols import Filler
from genattr.types import Heatmap


@dataclass(frozen=True)
class ReferenceOutOfModelScope(SegmentOrderMetric):
    """Area under the probability of the predicted class while random segments are removed.

    It tells how reliable a filler is for a classifier: a photo with holes that look like no photo
    leaves the model's scope, and loses its class early. The map does not matter.

    Parameters
    ----------
    n_segments, compactness, sigma
        SLIC's; other segmentations take ``n_segments`` or none. The count is approximate.
    segmentation
        What is removed together.
    filler
        The filler in question. None: the run's.
    n_orders
        Random orders of a photo's segments, of which the mean is taken.
    n_steps
        Steps of an order, from one removed segment to all; at most one a segment.
    """

    filler: Filler | None
    n_orders: Count
    n_steps: Count

    direction: ClassVar[Direction] = "higher"

    def calls(self, size: int) -> int:
        return self.n_orders * self.n_steps + 2

    def per_image(self, heatmap: Heatmap, probe: Probe) -> dict[str, Any]:
        """Return ``auc``, and the ``curve`` of mean probabilities, the whole photo's first."""
        segments = self.segments(probe.sample)
        judge = probe if self.filler is None else probe.with_filler(self.filler)
        reference = int(judge.first_choices(probe.image[None])[0])
        counts = _counts(int(segments.max()) + 1, self.n_steps)
        ranks = self._ranks(int(counts[-1]), probe.generator("r_oms"))
        curves = follow(judge.of_target(reference), segments, ranks, counts)
        auc = sum(curves.areas) / self.n_orders
        return {"auc": auc, "curve": curves.probability.mean(dim=0).tolist()}

    def _ranks(self, n_segments: int, generator: torch.Generator) -> Tensor:
        """Draw the orders: (n_orders, K) positions."""
        orders = range(self.n_orders)
        return torch.stack([torch.randperm(n_segments, generator=generator) for _ in orders])

    def aggregate(self, rows: Rows, held_out_rows: Rows) -> dict[str, float | Sequence[float]]:
        return {"auc": [row["auc"] for row in rows]}


def _counts(n_segments: int, n_steps: int) -> Tensor:
    """Return how many segments are gone after each step: none, then from one to all."""
    steps = torch.linspace(1, n_segments, n_steps, dtype=torch.double).round().long()
    counts: Tensor = torch.cat([torch.tensor([0, n_segments]), steps]).unique()
    return counts
