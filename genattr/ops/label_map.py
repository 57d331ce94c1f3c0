"""Label maps: which segment each pixel belongs to."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def consecutive(labels: NDArray[Any]) -> Tensor:
    """Renumber (h, w) labels to int64 0..K-1, in their order."""
    _, numbers = np.unique(labels, return_inverse=True)
    return torch.from_numpy(numbers.reshape(labels.shape).astype(np.int64))
