"""Base of metrics that remove a photo's segments one after the other, in some order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from genattr.metric.base import Metric
from genattr.ops.superpixels import Compactness, Sigma
from genattr.parameters import Several
from genattr.probe import Probe
from genattr.protocols import Segmentation
from genattr.types import Sample, SegmentHoles


@dataclass(frozen=True)
class Curves:
    """The target's probability while segments go, for several orders of them.

    Attributes
    ----------
    probability
        (orders, steps).
    removed
        (orders, steps) share of the pixels that is removed, from 0 to 1.
    """

    probability: Tensor
    removed: Tensor

    @property
    def areas(self) -> list[float]:
        """The area under each curve, by the trapezoidal rule."""
        areas = np.trapezoid(self.probability.numpy(), self.removed.numpy())
        return [float(area) for area in areas]


@dataclass(frozen=True)
class SegmentOrderMetric(Metric):
    """The target's probability while segments are removed.

    Parameters
    ----------
    n_segments, compactness, sigma
        SLIC's; other segmentations take ``n_segments`` or none. The count is approximate.
    segmentation
        What is removed together.
    """

    n_segments: Several
    compactness: Compactness
    sigma: Sigma
    segmentation: Segmentation

    def segments(self, sample: Sample) -> Tensor:
        """Split a photo into (D, D) labels."""
        return self.segmentation.split(sample, self.n_segments, self.compactness, self.sigma)


def follow(judge: Probe, segments: Tensor, ranks: Tensor, counts: Tensor) -> Curves:
    """Score the photo after each step of each order; what several share is scored once.

    Parameters
    ----------
    judge
        Its filler stands where a segment was.
    segments
        (D, D) labels in 0..K-1.
    ranks
        (orders, K) position of each segment in an order; 0 = the first to go.
    counts
        (steps,) segments that are gone after each step, 0 and K included.
    """
    removed = ranks[:, None] < counts[:, None]
    distinct, which = removed.flatten(0, 1).unique(dim=0, return_inverse=True)
    scores = judge.score(SegmentHoles(distinct, segments)).double()
    sizes = segments.flatten().bincount().double()
    shares = removed.double() @ sizes / sizes.sum()
    return Curves(scores[which].view(removed.shape[:2]), shares)
