"""SRG and R-OMS against closed forms of a classifier that adds up what is left of the photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from genattr.metric.r_oms import ReferenceOutOfModelScope
from genattr.metric.srg import SymmetricRelevanceGain, means
from genattr.ops.superpixels import superpixels
from genattr.probe import Probe
from genattr.protocols import Classifier
from genattr.segmentation.grid import Grid
from genattr.segmentation.slic import Slic
from genattr.types import Heatmap, Placement, Sample
from tests.conftest import ConstantFiller, IdentityFiller, linear_probe

SIDE = 4
CELLS = 4  # of 2 x 2 pixels
WHERE = torch.arange(CELLS).view(2, 2).repeat_interleave(2, 0).repeat_interleave(2, 1)
WEIGHTS = st.lists(st.integers(0, 20), min_size=CELLS, max_size=CELLS)


@dataclass(frozen=True)
class Additive(Classifier):
    """The probability of class 1 is 0.1 and the sum of the cells' shares of 0.8 that are white."""

    shares: Tensor = field(metadata={"identity": False})  # (K,) sum to 1
    where: Tensor = field(metadata={"identity": False})  # (D, D)
    labels: Sequence[str] = ("no", "yes")
    fingerprint: str = "additive"

    @property
    def input_size(self) -> int:
        return len(self.where)

    def to(self, device: torch.device) -> None:
        pass

    def __call__(self, images: Tensor) -> Tensor:
        weight = (self.shares / self.where.flatten().bincount())[self.where]
        logit = (0.1 + 0.8 * (images[:, 0] * weight).sum(dim=(1, 2))).logit()
        return torch.stack([torch.zeros_like(logit), logit], dim=1)


def white(classifier: Additive, target: int = 1) -> Probe:
    side = classifier.input_size
    sample = Sample(torch.ones(3, side, side), 1, "white", None, (side, side))
    return Probe(sample, target, classifier, ConstantFiller(0.7), batch_size=8)


def heatmap(values: Tensor) -> Heatmap:
    return Heatmap(values, (-np.inf, np.inf), Placement(), "white", 1, 0.5, 0, 0)


GAIN = SymmetricRelevanceGain(CELLS, 30, 3, Grid(), ConstantFiller())


@given(WEIGHTS, st.permutations(range(CELLS)))
def test_the_gain_of_a_sum_follows_from_the_ranks(weights: list[int], order: list[int]) -> None:
    """A cell that is the r-th of K to go counts for r - 1/2 of K steps."""
    shares = torch.tensor(weights, dtype=torch.double)
    shares = shares / shares.sum().clamp(min=1)
    rank = torch.tensor(order)  # 0 = the most influential
    row = GAIN.per_image(heatmap(-rank.float()[WHERE]), white(Additive(shares, WHERE)))
    most = float((0.8 * shares * (rank + 0.5)).sum()) / CELLS + 0.1
    least = float((0.8 * shares * (CELLS - rank - 0.5)).sum()) / CELLS + 0.1
    expected = {"gain": least - most, "least_first": least, "most_first": most, "n_segments": CELLS}
    assert row == pytest.approx(expected, abs=1e-6)


@given(WEIGHTS, WEIGHTS)
def test_the_negative_of_a_map_has_the_negative_gain(values: list[int], weights: list[int]) -> None:
    shares = torch.tensor(weights, dtype=torch.double) / max(sum(weights), 1)
    probe, cells = white(Additive(shares, WHERE)), torch.tensor(values).float()[WHERE]
    gain, opposite = (GAIN.per_image(heatmap(x), probe)["gain"] for x in (cells, -cells))
    assert gain == -opposite


def test_a_map_without_differences_and_a_filler_without_effect_gain_nothing() -> None:
    probe = linear_probe(12)
    flat, map_ = torch.full((12, 12), 0.1), torch.arange(144.0).view(12, 12)
    slic = SymmetricRelevanceGain(9, 30, 1, Slic(), ConstantFiller(0.3))
    assert slic.per_image(heatmap(flat), probe)["gain"] == 0
    same = replace(slic, filler=IdentityFiller())
    row = same.per_image(heatmap(map_), probe)
    assert row["gain"] == pytest.approx(0, abs=1e-12)
    assert row["most_first"] == pytest.approx(probe.original, abs=1e-6)


def test_the_gain_equals_a_slow_reading_of_the_rule() -> None:
    probe = linear_probe(12, filler=ConstantFiller(0.9))
    values = torch.randn(12, 12, generator=torch.Generator().manual_seed(3))
    segments = superpixels(probe.sample.image, 9, 30, 1)
    count = int(segments.max()) + 1
    influence = [float(values[segments == k].double().mean()) for k in range(count)]

    def area(order: list[int]) -> float:
        image, shares, scores = probe.image.clone(), [0.0], [float(probe.prob(probe.image[None]))]
        for k in order:
            image[:, segments == k] = 0.3
            shares.append(shares[-1] + float((segments == k).double().mean()))
            scores.append(float(probe.prob(image[None])))
        return sum(
            (a + b) / 2 * (r - q)
            for a, b, q, r in zip(scores, scores[1:], shares, shares[1:], strict=False)
        )

    ascending = sorted(range(count), key=influence.__getitem__)
    metric = SymmetricRelevanceGain(9, 30, 1, Slic(), ConstantFiller(0.3))
    row = metric.per_image(heatmap(values), probe)
    assert row["least_first"] == pytest.approx(area(ascending), abs=1e-6)
    assert row["most_first"] == pytest.approx(area(ascending[::-1]), abs=1e-6)
    assert metric.aggregate([row, row], []) == {"gain": [row["gain"]] * 2}


def test_equal_values_have_equal_means() -> None:
    segments = torch.tensor([[0, 0, 0, 1], [1, 1, 1, 1]])
    assert means(torch.full((2, 4), 0.1), segments).unique().numel() == 1


@pytest.mark.parametrize("target", [0, 1])
@pytest.mark.parametrize("steps", [1, 3, 10, 40])
def test_the_scope_of_a_probability_that_falls_evenly(steps: int, target: int) -> None:
    """Whatever the order and the sizes, 0.9 falls to 0.1; the map's class does not matter."""
    where = torch.arange(9).repeat_interleave(torch.tensor([1, 2, 3, 4, 5, 6, 7, 8, 108]))
    classifier = Additive(where.bincount() / 144, where.view(12, 12))
    probe = white(classifier, target)
    metric = ReferenceOutOfModelScope(9, 30, 1, Grid(), ConstantFiller(0), 3, steps)
    row = metric.per_image(heatmap(torch.zeros(12, 12)), probe)
    assert row["auc"] == pytest.approx(0.5, abs=1e-6)
    ends = (row["curve"][0], row["curve"][-1])
    assert ends == pytest.approx((0.9, 0.1), abs=1e-6)
    assert metric.aggregate([row], []) == {"auc": [row["auc"]]}


def test_the_runs_filler_is_asked_about_unless_another_is_named() -> None:
    probe = white(Additive(torch.full((CELLS,), 0.25), WHERE))  # whose filler leaves 0.7
    metric = ReferenceOutOfModelScope(CELLS, 30, 1, Grid(), None, 2, 4)
    curve = metric.per_image(heatmap(torch.zeros(4, 4)), probe)["curve"]
    assert curve == pytest.approx([0.9, 0.84, 0.78, 0.72, 0.66], abs=1e-6)
    other = replace(metric, filler=ConstantFiller(0)).per_image(heatmap(torch.zeros(4, 4)), probe)
    assert other["curve"] == pytest.approx([0.9, 0.7, 0.5, 0.3, 0.1], abs=1e-6)


def test_no_more_images_are_scored_than_announced() -> None:
    seen: list[int] = []
    probe = linear_probe(12, on_scored=seen.append)
    scope = ReferenceOutOfModelScope(9, 30, 1, Slic(), None, 3, 4)
    gain = SymmetricRelevanceGain(9, 30, 1, Slic(), ConstantFiller())
    for metric in (scope, gain):
        seen.clear()
        metric.per_image(heatmap(torch.randn(12, 12)), probe)
        assert sum(seen) <= metric.calls(12)
    seen.clear()
    scope = replace(scope, n_orders=1)
    scope.per_image(heatmap(torch.zeros(12, 12)), probe)
    assert sum(seen) == scope.calls(12) == 6  # a class, the photo, and four steps
