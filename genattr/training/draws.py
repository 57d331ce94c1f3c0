"""Random numbers that depend on the seed, the step and the process, and on nothing else.

A training that was stopped therefore draws what it would have drawn, without keeping any state.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class Draws:
    """The random numbers of one step in one process.

    Parameters
    ----------
    device
        Where ``generator`` draws.
    entropy
        Whole numbers from 0 on: seed, step, process.

    Attributes
    ----------
    host
        For the few numbers that decide shapes.
    generator
        For all others; on ``device``.
    """

    def __init__(self, device: torch.device, *entropy: int) -> None:
        for_host, for_device = np.random.SeedSequence(entropy).spawn(2)
        self.host = np.random.default_rng(for_host)
        self.generator = torch.Generator(device)
        self.generator.manual_seed(int(for_device.generate_state(1, np.uint64)[0] >> 1))


def uniform(generator: torch.Generator, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Draw numbers of [low, high), on the generator's device."""
    drawn = torch.rand(*shape, generator=generator, device=generator.device)
    return drawn * (high - low) + low


def normal(generator: torch.Generator, *shape: int) -> Tensor:
    """Draw standard normal numbers, on the generator's device."""
    return torch.randn(*shape, generator=generator, device=generator.device)


def whole(generator: torch.Generator, *shape: int, low: int, high: int) -> Tensor:
    """Draw whole numbers of low .. high - 1, on the generator's device."""
    return torch.randint(low, high, shape, generator=generator, device=generator.device)
