"""How alike the photos with and without the object are: multi-scale SSIM, the paper's Table 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from genattr.errors import require
from genattr.metric.base import Direction
from genattr.metric.removal import RemovalMetric
from genattr.probe import Probe

LEAST = 161  # pixels: five scales of windows of 11


@dataclass(frozen=True)
class MsSsim(RemovalMetric):
    """MS-SSIM of Wang et al. (2003): 1 for equal photos; low where much was removed."""

    direction: ClassVar[Direction] = "lower"
    names: ClassVar[Sequence[str]] = ("score",)

    def calls(self, size: int) -> int:
        require(size >= LEAST, f"metric=ms_ssim needs images of {LEAST} pixels; these have {size}")
        return 0

    def compare(self, probe: Probe, filled: Tensor) -> dict[str, Any]:
        from pytorch_msssim import ms_ssim

        return {"score": float(ms_ssim(probe.image[None], filled, data_range=1.0))}
