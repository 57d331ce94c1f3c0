"""Adam in rows against PyTorch's, bit for bit."""

from __future__ import annotations

import pytest
import torch

from genattr.ops.adam import Adam

STEPS = 12


@pytest.mark.parametrize("n", [3, 5, 8, 28])
def test_rows_move_as_under_pytorchs_adam_though_they_begin_at_different_steps(n: int) -> None:
    draws = torch.Generator().manual_seed(n)
    rates = [0.1 * (1 - step / STEPS) for step in range(STEPS)]
    values = torch.rand(3, n, n, generator=draws)
    plain = [torch.nn.Parameter(row.clone()) for row in values]
    others = [torch.optim.Adam([row], lr=0.1) for row in plain]
    ours, number = Adam(values, rates), torch.zeros(3, dtype=torch.long)
    for step in range(STEPS):
        if step == 4:  # another photo takes the middle
            plain[1] = torch.nn.Parameter(torch.rand(n, n, generator=draws))
            others[1] = torch.optim.Adam([plain[1]], lr=0.1)
            values[1], number[1] = plain[1].detach(), 0
            ours.begin(1)
        size = 10 ** (6 * torch.rand(3, n, n, generator=draws) - 5)
        gradient = size * torch.randn(3, n, n, generator=draws)
        for row, other, own, at in zip(plain, others, gradient, number.tolist(), strict=True):
            row.grad, other.param_groups[0]["lr"] = own.clone(), rates[at]
            other.step()
        ours.step(gradient, number)
        number += 1
        assert torch.equal(values, torch.stack([row.detach() for row in plain]))
