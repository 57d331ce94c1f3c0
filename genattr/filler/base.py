"""Base of plain fillers, with defaults that they may override."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genattr.protocols import Filler

IMAGENET_MEAN = (0.485, 0.456, 0.406)


class PlainFiller(Filler):
    """A filler that is the same for every photo, reads no hole and draws nothing."""

    inpaints: ClassVar[bool] = False
    reads_hole: ClassVar[bool] = False
    stochastic: ClassVar[bool] = False


def channels(values: Sequence[float], like: Tensor) -> Tensor:
    """Return three numbers as (1, 3, 1, 1), on the device and in the dtype of ``like``.

    They are kept for the next call, and must not be written to.
    """
    return _channels(tuple(values), like.dtype, like.device)


@lru_cache(maxsize=32)
def _channels(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=dtype, device=device).view(1, 3, 1, 1)


def from_levels(pixels: NDArray[np.uint8], like: Tensor) -> Tensor:
    """Turn (B, H, W, 3) levels of 255 into images, on the device and in the dtype of ``like``."""
    return torch.from_numpy(pixels).to(like.device).permute(0, 3, 1, 2).to(like.dtype) / 255
