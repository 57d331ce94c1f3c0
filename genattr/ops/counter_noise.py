"""Normal numbers by counting: each follows from its row's seed and its place alone.

The random bits are SplitMix64's (Steele, Lea and Flood, OOPSLA 2014), in integer arithmetic; a
table makes them normal. So every device gives the same numbers, whatever the other rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

STEP = 0x9E3779B97F4A7C15  # 2**64 divided by the golden ratio
MIXING = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
LEVELS = 1 << 16
ROOM = 1 << 22  # draws at once
ROOM_OF_CPU = 1 << 15  # so many stay in its cache


def normals(seeds: Sequence[int], count: int, device: torch.device) -> Tensor:
    """Return (rows, count) float32 normal numbers, one row for each seed in 0..2**63-1.

    A draw's 64 bits are four numbers, the lowest 16 bits first: read as a signed integer k, they
    give the normal distribution's quantile at (k + 32768.5) / 65536. None is beyond 4.33.
    """
    each = -(-count // 4)
    rows = max(1, (ROOM_OF_CPU if device.type == "cpu" else ROOM) // each)
    numbers = torch.empty(len(seeds), 4 * each, device=device)
    parts = torch.tensor(seeds, device=device).split(rows)
    for part, out in zip(parts, numbers.split(rows), strict=True):
        places = draws(part, each).view(torch.int16).int().add_(LEVELS // 2)
        torch.index_select(_quantiles(device), 0, places.view(-1), out=out.view(-1))
    return numbers[:, :count]


def draws(seeds: Tensor, count: int) -> Tensor:
    """Return the first outputs of SplitMix64, (n, count) for n int64 seeds.

    Their 64 bits are those of int64: outputs of 2**63 and more are negative.
    """
    counter = torch.arange(1, count + 1, device=seeds.device).mul_(_signed(STEP))
    state = counter + seeds[:, None]
    room = torch.empty_like(state)
    for bits, factor in MIXING:
        state.bitwise_xor_(_shifted(state, bits, room)).mul_(_signed(factor))
    return state.bitwise_xor_(_shifted(state, 31, room))


def _shifted(state: Tensor, bits: int, out: Tensor) -> Tensor:
    """Shift to the right as unsigned numbers are."""
    return torch.bitwise_right_shift(state, bits, out=out).bitwise_and_((1 << (64 - bits)) - 1)


def _signed(number: int) -> int:
    """Return the int64 with the same 64 bits."""
    return number - (1 << 64) if number >> 63 else number


@lru_cache
def _quantiles(device: torch.device) -> Tensor:
    """Return the normal distribution's quantiles in the middle of each level."""
    middles = (np.arange(LEVELS) + 0.5) / LEVELS
    return torch.from_numpy(ndtri(middles)).float().to(device)
