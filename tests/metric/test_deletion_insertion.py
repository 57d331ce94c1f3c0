"""Deletion and insertion against RISE's rule, written out on a 4x4 toy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genattr.metric.deletion import Deletion
from genattr.metric.insertion import Insertion
from genattr.metric.pixel_order import pixel_ranks
from genattr.probe import Probe
from genattr.types import Heatmap, Placement
from tests.conftest import ConstantFiller, linear_probe


def heatmap(values: torch.Tensor) -> Heatmap:
    return Heatmap(values, (-1, 1), Placement(), "noise0", 1, 0.5, 0, 0)


def rise(probe: Probe, order: list[int], step: int, value: float, insertion: bool) -> float:
    """Remove (or restore) step pixels at a time in order; trapezoid over the share handled."""
    size = probe.size
    start = torch.full_like(probe.image, value) if insertion else probe.image.clone()
    goal = probe.image if insertion else torch.full_like(probe.image, value)
    scores, shares = [], []
    current = start.clone()
    handled = 0
    while True:
        logits = probe.scorer.classifier(current[None])
        scores.append(float(logits.softmax(1)[0, 1]))
        shares.append(handled / size**2)
        if handled == size**2:
            break
        for pixel in order[handled : handled + step]:
            row, column = divmod(pixel, size)
            current[:, row, column] = goal[:, row, column]
        handled = min(handled + step, size**2)
    area = 0.0
    for i in range(1, len(scores)):
        area += (scores[i] + scores[i - 1]) / 2 * (shares[i] - shares[i - 1])
    return area


@pytest.mark.parametrize("step", [1, 3, 5, 16])
@pytest.mark.parametrize(("metric", "insertion"), [(Deletion, False), (Insertion, True)])
def test_equals_rises_rule(metric: type, insertion: bool, step: int) -> None:
    probe = linear_probe(size=4)
    values = torch.randn(4, 4, generator=torch.Generator().manual_seed(5))
    order = sorted(range(16), key=lambda i: -float(values.flatten()[i]))
    row = metric(ConstantFiller(0.3), step, 5).per_image(heatmap(values), probe)
    assert row["auc"] == pytest.approx(rise(probe, order, step, 0.3, insertion), abs=1e-6)


def test_default_step_is_8_rows_of_pixels_with_a_short_last_one() -> None:
    probe = linear_probe(size=12)
    row = Deletion(ConstantFiller(), None, 1).per_image(heatmap(torch.randn(12, 12)), probe)
    assert len(row["curve"]) == 3  # 0, 96 and all 144 pixels
    assert Deletion(ConstantFiller(), None, 1).calls(224) == 29


def test_signed_values_are_ordered_as_they_are() -> None:
    values = torch.tensor([[-2.0, 1.0], [-1.0, 3.0]])
    ranks = pixel_ranks(values, torch.Generator().manual_seed(0))
    assert ranks.tolist() == [[3, 1], [2, 0]]


def test_ties_are_random_and_averaged() -> None:
    probe = linear_probe(size=4)
    flat = heatmap(torch.zeros(4, 4))
    metric = Deletion(ConstantFiller(), 1, 200)
    expected = np.mean(
        [
            rise(probe, np.random.default_rng(seed).permutation(16).tolist(), 1, 0.0, False)
            for seed in range(200)
        ]
    )
    assert metric.per_image(flat, probe)["auc"] == pytest.approx(expected, abs=0.005)
    assert metric.per_image(flat, probe) == metric.per_image(flat, probe)


def test_the_judges_filler_is_its_own() -> None:
    probe = linear_probe(size=4, filler=ConstantFiller(0.9))
    values = heatmap(torch.randn(4, 4))
    same = linear_probe(size=4, filler=ConstantFiller(0.1))
    metric = Deletion(ConstantFiller(0.3), 4, 1)
    assert metric.per_image(values, probe) == metric.per_image(values, same)


@pytest.mark.parametrize("metric", [Deletion, Insertion])
def test_orders_of_ties_share_their_ends_and_their_batches(metric: type) -> None:
    seen: list[int] = []
    probe = linear_probe(size=4, batch_size=8, on_scored=seen.append)
    metric(ConstantFiller(0.3), 4, 5).per_image(heatmap(torch.zeros(4, 4)), probe)
    assert seen == [8, 8, 1]  # 5 orders of 3 images between the ends, and 2 ends


@pytest.mark.parametrize("metric", [Deletion, Insertion])
def test_ties_within_a_step_cost_nothing(metric: type) -> None:
    seen: list[int] = []
    probe = linear_probe(size=4, batch_size=8, on_scored=seen.append)
    values = torch.arange(4.0).repeat_interleave(4).view(4, 4)  # four times four equal pixels
    row = metric(ConstantFiller(0.3), 4, 5).per_image(heatmap(values), probe)
    assert seen == [5]
    distinct = values * 10 + torch.arange(4.0)
    assert metric(ConstantFiller(0.3), 4, 1).per_image(heatmap(distinct), probe) == row


def test_a_single_step_has_ends_alone() -> None:
    probe = linear_probe(size=4)
    row = Deletion(ConstantFiller(0.3), 16, 3).per_image(heatmap(torch.zeros(4, 4)), probe)
    assert row["curve"][0] == pytest.approx(probe.original, abs=1e-6)
    assert len(row["curve"]) == 2
