"""The whole-image baseline of Table 2."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from genattr.method.baseline import Baseline
from genattr.probe import Probe


@dataclass(frozen=True)
class Full(Baseline):
    """One everywhere, so that the box is the whole photo."""

    def values(self, probe: Probe) -> Tensor:
        return torch.ones(probe.size, probe.size)
