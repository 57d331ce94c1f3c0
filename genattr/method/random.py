"""The random baseline."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from genattr.method.baseline import Baseline
from genattr.probe import Probe


@dataclass(frozen=True)
class Random(Baseline):
    """Independent U(0, 1) per pixel, another draw for each photo and seed."""

    def values(self, probe: Probe) -> Tensor:
        return torch.rand(probe.size, probe.size, generator=probe.generator("random"))
