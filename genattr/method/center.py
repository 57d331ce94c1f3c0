"""The center baseline."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from genattr.method.baseline import Baseline
from genattr.probe import Probe


@dataclass(frozen=True)
class Center(Baseline):
    """A Gaussian in the middle of the photo, with a standard deviation of D/4."""

    def values(self, probe: Probe) -> Tensor:
        offset = torch.arange(probe.size) - (probe.size - 1) / 2
        profile = torch.exp(-(offset**2) / (2 * (probe.size / 4) ** 2))
        return torch.outer(profile, profile)
