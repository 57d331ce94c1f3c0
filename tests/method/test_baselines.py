"""The maps that do not look at the photo."""

from __future__ import annotations

import torch

from genattr.method.center import Center
from genattr.method.full import Full
from genattr.method.random import Random
from tests.conftest import linear_probe


def test_random_differs_by_photo_and_by_seed_and_repeats() -> None:
    def values(**options: int) -> torch.Tensor:
        return Random().explain(linear_probe(**options)).values

    assert torch.equal(values(), values())
    assert not torch.equal(values(), values(seed=1))
    assert not torch.equal(values(), values(photo_seed=1))
    assert 0 <= values().min() <= values().max() <= 1


def test_center_falls_from_the_middle_with_a_quarter_of_the_side() -> None:
    values = Center().explain(linear_probe(size=16)).values
    assert torch.allclose(values, values.flip(0))
    assert torch.allclose(values, values.T)
    ratio = values[8, 12] / values[8, 8]  # 4.5 and 0.5 pixels from the middle, sigma 4
    assert torch.allclose(ratio, torch.tensor((-(4.5**2) + 0.5**2) / 32).exp())


def test_full_is_constant() -> None:
    assert (Full().explain(linear_probe()).values == 1).all()
