"""SLIC: superpixels of about equal size that follow the colors, the paper's choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from genattr.ops.superpixels import superpixels
from genattr.protocols import Segmentation
from genattr.types import Sample


@dataclass(frozen=True)
class Slic(Segmentation):
    """Scikit-image's ``slic`` with the owner's ``n_segments``, ``compactness`` and ``sigma``."""

    uses: ClassVar[Sequence[str]] = ("n_segments", "compactness", "sigma")

    def split(self, sample: Sample, n_segments: int, compactness: float, sigma: float) -> Tensor:
        return superpixels(sample.image, n_segments, compactness, sigma)
