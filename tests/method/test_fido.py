"""FIDO's relaxed bits, objective and schedule against values computed by hand."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from genattr.components import identity
from genattr.method.fido import Fido, LearnedDrops, relaxed_bits
from tests.conftest import ConstantFiller, IdentityFiller, linear_probe

D, N = 12, 4


def fido(**changes: object) -> Fido:
    values = {
        "mask_size": N,
        "steps": 4,
        "batch": 3,
        "lr": 0.05,
        "l1": 0.002,
        "temperature": 0.1,
        "objective": "preservation",
        "together": 1,
        "requires_inpainter": True,
    }
    return Fido(**(values | changes))


@pytest.mark.parametrize(
    ("probability", "uniform", "temperature", "expected"),
    [
        (0.5, 0.5, 0.1, 0.5),
        (0.5, 0.6, 1.0, 0.6),  # at temperature 1 and even odds, the draw itself
        (0.5, 0.6, 0.1, 1.5**10 / (1 + 1.5**10)),
        (0.8, 0.5, 0.5, 16 / 17),  # odds 4, squared
        (0.2, 0.8, 0.1, 0.5),
    ],
)
def test_relaxed_bits(
    probability: float, uniform: float, temperature: float, expected: float
) -> None:
    bit = relaxed_bits(torch.tensor(probability), torch.tensor(uniform), temperature)
    assert bit.item() == pytest.approx(expected, abs=1e-5)


def test_relaxed_bits_are_on_as_often_as_their_probability() -> None:
    uniform = torch.rand(20_000, generator=torch.Generator().manual_seed(0))
    for probability in (0.1, 0.5, 0.9):
        bits = relaxed_bits(torch.tensor(probability), uniform, 0.1)
        assert abs((bits > 0.5).float().mean() - probability) < 0.01


@pytest.mark.parametrize("objective", ["preservation", "deletion"])
@pytest.mark.parametrize("step", [0, 12, 30, 200])
def test_loss(objective: str, step: int) -> None:
    probe = linear_probe(D, 1, ConstantFiller(0.3))
    logits = torch.randn(N, N, generator=torch.Generator().manual_seed(5))
    search = fido(objective=objective, steps=300, together=2).search(probe)
    search.admit(iter([probe]))
    uniform = torch.rand(3, 1, D, D, generator=torch.Generator().manual_seed(9))
    search.uniform[0] = uniform
    number = torch.tensor([step, 0])
    loss = search.loss(torch.stack([logits, 0 * logits]), number)[0]

    uniform = uniform.double().numpy()
    small = 1 / (1 + np.exp(-logits.double().numpy()))
    drop = cv2.resize(small, (D, D), interpolation=cv2.INTER_LINEAR)
    odds = drop / (1 - drop) * uniform / (1 - uniform)
    hole = 1 / (1 + odds ** (-1 / 0.1))
    x, weights = probe.image.double().numpy(), probe.scorer.classifier.weights.double().numpy()
    log_odds = ((x * (1 - hole) + 0.3 * hole) * weights).sum(axis=(1, 2, 3)).mean()
    weight = 0.002 * min(step / 30, 1)
    kept = (1 - drop).sum()
    expected = weight * kept - log_odds
    if objective == "deletion":
        expected = weight * drop.sum() + log_odds
    assert loss.item() == pytest.approx(expected, abs=2e-4)


def test_the_learning_rate_falls_linearly_to_zero() -> None:
    """By as much as Adam moves a cell whose gradient is always the same."""

    class Same(LearnedDrops):
        def loss(self, values: Tensor, number: Tensor) -> Tensor:
            return values.sum(dim=(1, 2))

    probe = linear_probe(D)
    search = Same(fido(), probe)
    search.admit(iter([probe]))
    values = [0.0]
    while not search.finished:
        search.advance()
        values.append(float(search.values[0, 0, 0]))
    rates = -np.diff(values)
    assert rates == pytest.approx([0.05, 0.0375, 0.025, 0.0125], rel=1e-4)


def test_the_draws_of_a_photo_are_its_own_in_each_step() -> None:
    probes = [linear_probe(D, seed) for seed in (1, 2)]
    search = fido(together=2).search(probes[0])
    search.admit(iter(probes))
    draws = [probe.generator("fido") for probe in probes]
    for _ in range(2):
        search.bring()
        expected = [torch.rand(3, 1, D, D, generator=one) for one in draws]
        assert torch.equal(search.uniform, torch.stack(expected))


def test_only_keys_of_photos_together_are_new() -> None:
    assert "together" not in identity(fido())
    assert identity(fido(together=2))["together"] == 2


def test_one_step_moves_every_cell_by_the_learning_rate() -> None:
    probe = linear_probe(D, 3, ConstantFiller(0.0))
    values = fido(steps=1, l1=0.0).explain(probe).values
    moved = 1 / (1 + math.exp(-0.05)) - 0.5
    assert torch.allclose(values.abs(), torch.full((N, N), moved), atol=1e-4)


@pytest.mark.parametrize("objective", ["preservation", "deletion"])
def test_the_map_is_high_where_the_evidence_is(objective: str) -> None:
    probe = linear_probe(D, 3, ConstantFiller(0.0))
    method = fido(objective=objective, steps=80, batch=8, l1=0.0)
    evidence = (probe.scorer.classifier.weights * probe.image).sum(0)
    cells = evidence.reshape(N, D // N, N, D // N).sum(dim=(1, 3))
    values = method.explain(probe).values
    strong = cells.abs() > cells.abs().median()
    assert torch.equal(values[strong] > 0, cells[strong] > 0)


def test_every_image_is_counted() -> None:
    heatmap = fido().explain(linear_probe(D))
    assert heatmap.n_scored == fido().calls(D) == 4 * 3 + 1


def test_a_filler_that_gives_the_photo_back_leaves_an_empty_map() -> None:
    heatmap = fido().explain(linear_probe(D, filler=IdentityFiller()))
    assert (heatmap.values == 0).all()
    assert heatmap.details["changed_nothing"] == 1
