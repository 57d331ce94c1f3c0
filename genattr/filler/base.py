"""Base of plain fillers, with defaults that they may override."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from genattr.protocols import Filler

IMAGENET_MEAN = (0.485, 0.456, 0.406)


class PlainFiller(Filler):
    """A filler that is the same for every photo, reads no hole and draws nothing."""

    inpaints: ClassVar[bool] = False
    reads_hole: ClassVar[bool] = False
    stochastic: ClassVar[bool] = False


def channels(values: Sequence[float], like: Tensor) -> Tensor:
    """Return three numbers as (1, 3, 1, 1), on the device and in the dtype of ``like``."""
    return torch.tensor(list(values), dtype=like.dtype, device=like.device).view(1, 3, 1, 1)
