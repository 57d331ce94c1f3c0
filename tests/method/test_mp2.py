"""MP2 on a linear classifier, where the order of the cells is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genattr.errors import UserError
from genattr.method.mp2 import MP2, below, chance
from genattr.probe import Probe
from tests.conftest import (
    ConstantFiller,
    IdentityFiller,
    LinearClassifier,
    linear_probe,
    photo,
    probes_of_one_classifier,
)

D, N = 12, 4
CELL = D // N


def mp2(**changes: object) -> MP2:
    values = {
        "mask_size": N,
        "cells_per_step": 1,
        "stop": 0.0,
        "max_steps": None,
        "rank_by": "mask_gradient",
        "rank_filler": None,
        "heatmap": "order",
        "together": 3,
        "requires_inpainter": False,
    }
    return MP2(**(values | changes))


def cell_sums(pixels: np.ndarray) -> np.ndarray:
    return pixels.reshape(N, CELL, N, CELL).sum(axis=(1, 3))


def effects(probe: Probe, fill: float) -> np.ndarray:
    """Return how the logit changes when each cell is filled."""
    x, weights = probe.image.double().numpy(), probe.scorer.classifier.weights.double().numpy()
    return cell_sums(((fill - x) * weights).sum(axis=0))


def scores_along(probe: Probe, fill: float, order: np.ndarray, per_step: int) -> list[float]:
    """Return the probability before any step and after each."""
    x, weights = probe.image.double().numpy(), probe.scorer.classifier.weights.double().numpy()
    logit, gain = (x * weights).sum(), effects(probe, fill).ravel()
    scores = [1 / (1 + np.exp(-logit))]
    for start in range(0, len(order), per_step):
        logit += gain[order[start : start + per_step]].sum()
        scores.append(1 / (1 + np.exp(-logit)))
    return scores


def order_map(order: np.ndarray, steps: int, per_step: int) -> np.ndarray:
    values = np.zeros(N * N)
    for step in range(steps):
        values[order[step * per_step : (step + 1) * per_step]] = (steps - step) / steps
    return values.reshape(N, N)


@given(st.integers(0, 50), st.sampled_from([1, 2, 3]), st.floats(0.02, 0.9))
def test_cells_join_by_their_effect_until_the_probability_is_low(
    seed: int, per_step: int, stop: float
) -> None:
    probe = linear_probe(D, seed, ConstantFiller(0.2))
    heatmap = mp2(stop=stop, cells_per_step=per_step).explain(probe)
    order = np.argsort(-np.abs(effects(probe, 0.2)).ravel())
    scores = scores_along(probe, 0.2, order, per_step)
    below = [step for step, score in enumerate(scores) if score <= stop]
    steps = below[0] if below else len(scores) - 1
    assert np.allclose(heatmap.values.numpy(), order_map(order, steps, per_step))
    assert heatmap.details["steps"] == steps
    assert heatmap.details["reached_stop"] == bool(below)
    assert heatmap.details["final_score"] == pytest.approx(scores[steps], abs=1e-5)
    assert heatmap.n_scored == steps + 2  # the photo, and the hole before and after each step


def test_the_binary_map_is_the_hole() -> None:
    stop = 0.46
    order, hole = (
        mp2(stop=stop, heatmap=kind).explain(linear_probe(D, 3)) for kind in ("order", "binary")
    )
    assert 0 < hole.values.mean() < 1
    assert torch.equal(hole.values, (order.values > 0).float())
    assert hole.details["area"] == hole.values.mean()
    blocks = hole.values.repeat_interleave(CELL, 0).repeat_interleave(CELL, 1)
    assert torch.equal(hole.to_image(D), blocks)


def test_the_image_gradient_does_not_see_what_is_filled() -> None:
    weights = torch.randn(3, D, D, generator=torch.Generator().manual_seed(1))
    probes = [
        Probe(photo(D), 1, LinearClassifier(weights), ConstantFiller(fill)) for fill in (0.0, 0.9)
    ]
    order = np.argsort(-cell_sums(np.linalg.norm(weights.double().numpy(), axis=0)).ravel())
    for probe in probes:
        heatmap = mp2(rank_by="image_gradient").explain(probe)
        assert np.allclose(heatmap.values.numpy(), order_map(order, N * N, 1))


def test_another_filler_ranks_and_the_runs_own_stops() -> None:
    probe = linear_probe(D, 9, ConstantFiller(0.1))
    heatmap = mp2(rank_filler=ConstantFiller(0.8), stop=0.45, cells_per_step=2).explain(probe)
    order = np.argsort(-np.abs(effects(probe, 0.8)).ravel())
    scores = scores_along(probe, 0.1, order, 2)
    steps = next(step for step, score in enumerate(scores) if score <= 0.45)
    assert steps == 6
    assert np.allclose(heatmap.values.numpy(), order_map(order, steps, 2))
    assert heatmap.n_scored == (steps + 1) + steps + 1


def test_ties_go_to_the_lowest_index() -> None:
    probe = Probe(
        photo(D, image=torch.ones(3, D, D)), 1, LinearClassifier(torch.ones(3, D, D)),
        ConstantFiller(0.5),
    )  # fmt: skip
    joined = mp2(cells_per_step=3, max_steps=2).explain(probe).values.flatten()
    assert joined.tolist() == [1.0] * 3 + [0.5] * 3 + [0.0] * 10


def test_a_confident_classifier_still_ranks() -> None:
    weights = torch.randn(3, D, D, generator=torch.Generator().manual_seed(2)).abs() * 100
    probe = Probe(photo(D), 1, LinearClassifier(weights), ConstantFiller(0.5))
    assert probe.original == 1
    order = np.argsort(-np.abs(effects(probe, 0.5)).ravel())
    heatmap = mp2(max_steps=5).explain(probe)
    assert np.allclose(heatmap.values.numpy(), order_map(order, 5, 1))


def test_a_filler_that_gives_the_photo_back_leaves_an_empty_map(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heatmap = mp2(rank_by="image_gradient").explain(linear_probe(D, filler=IdentityFiller()))
    assert (heatmap.values == 0).all()
    assert heatmap.details["changed_nothing"] == 1
    assert heatmap.details["reached_stop"] == 0
    assert "gives the photo back" in caplog.text


def test_a_photo_below_the_stop_needs_no_hole() -> None:
    heatmap = mp2(stop=0.99).explain(linear_probe(D))
    assert (heatmap.values == 0).all()
    assert (heatmap.details["steps"], heatmap.details["reached_stop"]) == (0, 1)


def test_a_probability_that_is_the_stop_has_reached_it() -> None:
    even = Probe(photo(D), 1, LinearClassifier(torch.zeros(3, D, D)), ConstantFiller(0.2))
    details = mp2(stop=0.5).explain(even).details
    assert (details["final_score"], details["steps"], details["reached_stop"]) == (0.5, 0, 1)


def test_all_cells_join_where_the_probability_never_drops() -> None:
    heatmap = mp2(cells_per_step=3).explain(linear_probe(D))
    assert heatmap.details["area"] == 1
    assert heatmap.details["reached_stop"] == 0
    assert heatmap.details["steps"] == mp2(cells_per_step=3).steps == 6


@pytest.mark.parametrize("together", [1, 2, 8])
def test_photos_together_are_explained_as_one_by_one(together: int) -> None:
    method = mp2(stop=0.3, together=together)
    alone = [mp2(stop=0.3).explain(probe) for probe in probes_of_one_classifier(5)]
    found = list(method.explain_many(probes_of_one_classifier(5)))
    assert {probe.sample.image_id for probe, _ in found} == {f"noise{seed}" for seed in range(5)}
    assert len({heatmap.details["steps"] for _, heatmap in found}) > 1
    for probe, heatmap in found:
        expected = alone[int(probe.sample.image_id.removeprefix("noise"))]
        assert heatmap.image_id == expected.image_id
        assert torch.equal(heatmap.values, expected.values)
        assert heatmap.n_scored == expected.n_scored


def test_chance_is_rounded_as_in_the_paper() -> None:
    assert [chance(k) for k in (1000, 365, 2)] == [0.001, 0.003, 0.5]


@given(st.floats(0, 1), st.floats(0, 1, width=32))
def test_a_float32_compares_with_a_number_as_with_the_float32_below_it(
    number: float, score: float
) -> None:
    for close in (score, float(np.float32(number)), float(np.nextafter(np.float32(number), 1))):
        assert (close <= below(number)) == (close <= number)


def test_a_mask_finer_than_the_image_is_refused() -> None:
    with pytest.raises(UserError, match=r"method\.mask_size=13.*12 pixels"):
        mp2(mask_size=13).calls(12)
