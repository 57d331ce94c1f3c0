"""Sliding-Patch (SP, and SP-G with a generative filler): the paper's section 3.3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from genattr.errors import require
from genattr.method import adaptive
from genattr.method.base import GENERATIVE, Method
from genattr.parameters import Count, NotNegative, Share
from genattr.probe import Probe
from genattr.types import Heatmap, Placement, RectangleHoles


@dataclass(frozen=True)
class SlidingPatch(Method):
    """Slide a square hole over the photo; a cell's value is the drop of the probability.

    Parameters
    ----------
    patch_size, stride
        In pixels of the classifier's input.
    upsample
        ``stretch`` the cells over the image (the paper), or leave each ``centered`` on its window.
    search
        ``full``: every window; ``adaptive``: more where the heatmap changes, see ``adaptive``.
    tolerance, budget
        Of ``adaptive``.
    requires_inpainter
        Refuse fillers that do not synthesize from context: SP-G.
    """

    patch_size: Count
    stride: Count
    upsample: Literal["stretch", "centered"]
    search: Literal["full", "adaptive"]
    tolerance: NotNegative
    budget: Share
    requires_inpainter: bool = field(metadata={"identity": False})

    @property
    def family(self) -> str:
        return "SP"

    @property
    def title(self) -> str:
        return self.family + GENERATIVE * self.requires_inpainter

    @property
    def idle(self) -> Sequence[str]:
        return ("tolerance", "budget") if self.search == "full" else ()

    def calls(self, size: int) -> int:
        cells = self.cells(size)
        if self.search == "adaptive":
            return adaptive.most(cells, self.budget) + 1
        return cells**2 + 1

    def cells(self, size: int) -> int:
        """Count the windows along one axis of an image of ``size`` pixels."""
        require(
            self.patch_size <= size,
            f"method.patch_size={self.patch_size}: the classifier's images have {size} pixels",
        )
        return (size - self.patch_size) // self.stride + 1

    def explain(self, probe: Probe) -> Heatmap:
        n = self.cells(probe.size)
        boxes = windows(probe.size, self.patch_size, self.stride).boxes

        def drop(cells: Tensor) -> Tensor:
            return probe.original - probe.score(RectangleHoles(boxes[cells], probe.size))

        if self.search == "adaptive":
            values = adaptive.search(drop, n, self.tolerance, self.budget)
        else:
            values = drop(torch.arange(n * n)).view(n, n)
        return probe.heatmap(values, probe.change_range, self._placement())

    def sample_hole(self, heatmap: Heatmap, probe: Probe) -> Tensor:
        """Return the window that costs the most."""
        largest = int(heatmap.values.argmax())
        return self.cell_holes(probe.size).expand(slice(largest, largest + 1))

    def cell_holes(self, size: int) -> RectangleHoles:
        return windows(size, self.patch_size, self.stride)

    def _placement(self) -> Placement:
        if self.upsample == "stretch":
            return Placement()
        return Placement(origin=self.patch_size / 2, stride=float(self.stride))


def windows(size: int, patch_size: int, stride: int) -> RectangleHoles:
    """Return every window that lies inside the image, row by row from the top left."""
    start = torch.arange(0, size - patch_size + 1, stride)
    top, left = torch.meshgrid(start, start, indexing="ij")
    corner: Tensor = torch.stack([left.flatten(), top.flatten()], dim=1)
    return RectangleHoles(torch.cat([corner, corner + patch_size], dim=1), size)
