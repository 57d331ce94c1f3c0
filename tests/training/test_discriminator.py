from __future__ import annotations

import pytest
import torch

from genattr.training.discriminator import Discriminator, SpectralConv


def test_the_weight_has_a_largest_singular_value_of_1() -> None:
    torch.manual_seed(0)
    layer = SpectralConv(5, 7, 3)
    for _ in range(200):
        layer.normalized_weight()
    value = torch.linalg.matrix_norm(layer.normalized_weight().flatten(1), 2)
    assert value.item() == pytest.approx(1, rel=1e-4)


def test_judging_for_the_inpainter_leaves_the_estimate_as_it_is() -> None:
    layer = SpectralConv(5, 7, 3).eval()
    before = layer.u.clone()
    layer.normalized_weight()
    assert layer.u.equal(before)


def test_it_judges_texture_and_structure() -> None:
    logits, features = Discriminator()(torch.zeros(2, 3, 64, 96), torch.ones(2, 1, 64, 96))
    assert [tuple(one.shape) for one in logits] == [(2, 1, 8, 12), (2, 1, 2, 3)]
    assert [one.shape[-1] for one in features] == [48, 24, 12, 6, 3]
