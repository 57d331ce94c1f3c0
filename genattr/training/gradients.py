"""Gradients of a network in one flat tensor: averaged, bounded and cleared at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genattr.training.processes import Processes


class Gradients:
    """The gradients of parameters, which backward passes add to.

    Parameters
    ----------
    parameters
        All on one device; each gradient becomes a view with its parameter's strides.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        total = sum(parameter.numel() for parameter in parameters)
        self._flat = torch.zeros(total, device=parameters[0].device)
        begin = 0
        for parameter in parameters:
            part = self._flat[begin : begin + parameter.numel()]
            parameter.grad = part.as_strided(parameter.shape, parameter.stride())
            begin += parameter.numel()

    def clear(self) -> None:
        """Set all to 0."""
        self._flat.zero_()

    def finish(self, longest: float, processes: Processes) -> Tensor:
        """Average over the processes and shorten to a length; one that is no number becomes 0.

        Returns
        -------
        (), the length before.
        """
        processes.average(self._flat)
        length: Tensor = self._flat.norm()
        factor = (longest / (length + 1e-6)).clamp(max=1)
        good = torch.isfinite(length)
        self._flat.copy_(torch.where(good, self._flat * factor, 0))
        return length
