"""Cells spread over images and sums over cells, by PyTorch's functions and by products."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from genattr.method.mask import gather_by_cell, spread, sum_by_cell, upsample


@given(st.integers(1, 9), st.integers(9, 20))
def test_cell_sums_are_the_adjoint_of_nearest_upsampling(n: int, size: int) -> None:
    generator = torch.Generator().manual_seed(n * 100 + size)
    cells = torch.rand(n, n, generator=generator)
    pixels = torch.rand(size, size, generator=generator)
    forward = (upsample(cells, size, "nearest")[0, 0] * pixels).sum()
    assert torch.allclose(forward, (cells * sum_by_cell(pixels, n)).sum(), rtol=1e-4)


@given(st.integers(1, 9), st.integers(9, 20))
def test_several_grids_are_spread_and_summed_as_each_alone(n: int, size: int) -> None:
    generator = torch.Generator().manual_seed(n * 100 + size)
    cells = torch.rand(3, n, n, generator=generator)
    pixels = torch.rand(3, size, size, generator=generator)
    for mode in ("bilinear", "nearest"):
        alone = torch.cat([upsample(one, size, mode) for one in cells])
        assert torch.equal(upsample(cells, size, mode), alone)
    sums = torch.stack([sum_by_cell(one, n) for one in pixels])
    assert torch.equal(sum_by_cell(pixels, n), sums)


@given(st.integers(1, 9), st.integers(9, 20))
def test_products_give_the_same_cells_pixels_and_gradients(n: int, size: int) -> None:
    generator = torch.Generator().manual_seed(n * 100 + size)
    cells = torch.rand(2, 1, n, n, generator=generator).requires_grad_()
    pixels = torch.rand(2, 1, size, size, generator=generator)
    plain = functional.interpolate(cells, (size, size), mode="bilinear")
    assert torch.allclose(spread(cells, size), plain, atol=1e-6)
    gradients = [
        torch.autograd.grad((large * pixels).sum(), cells)[0]
        for large in (spread(cells, size), plain)
    ]
    assert torch.allclose(*gradients, rtol=1e-5, atol=1e-6)
    assert torch.allclose(gather_by_cell(pixels, n), sum_by_cell(pixels, n), rtol=1e-6)
