"""Adam for many small optimizations at once, each at a step of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

FIRST, SECOND = 0.9, 0.999  # decay of the moments; these are PyTorch's defaults
EPSILON = 1e-8


class Adam:
    """Adam in each row of a tensor, bit for bit ``torch.optim.Adam`` of that row on a CPU.

    A step reads its number from a tensor, so that a GPU can replay it.

    Parameters
    ----------
    values
        (S, n, n), changed in place.
    rates
        The learning rate of each step.

    Attributes
    ----------
    state
        The tensors that a step changes.
    """

    def __init__(self, values: Tensor, rates: Sequence[float]) -> None:
        self._values = values
        self._first, self._second = torch.zeros_like(values), torch.zeros_like(values)
        numbers = [float(step) for step in range(1, len(rates) + 1)]
        sizes = [rate / (1 - FIRST**at) for rate, at in zip(rates, numbers, strict=True)]
        self._size = values.new_tensor(sizes)
        self._spread = values.new_tensor([(1 - SECOND**at) ** 0.5 for at in numbers])

    @property
    def state(self) -> Sequence[Tensor]:
        return self._values, self._first, self._second

    def begin(self, row: int) -> None:
        """Forget what a row has seen."""
        self._first[row] = 0
        self._second[row] = 0

    def step(self, gradient: Tensor, number: Tensor) -> None:
        """Follow the gradient.

        Parameters
        ----------
        gradient
            (S, n, n).
        number
            (S,) int64, the step of each row, from 0.
        """
        size, spread = (table[number][:, None, None] for table in (self._size, self._spread))
        self._first.lerp_(gradient, 1 - FIRST)
        self._second.mul_(SECOND).addcmul_(gradient, gradient, value=1 - SECOND)
        self._values.sub_(size * self._first / (self._second.sqrt() / spread).add_(EPSILON))
