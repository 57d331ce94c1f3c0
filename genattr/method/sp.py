"""Sliding-Patch (SP, and SP-G with a generative filler): the paper's section 3.3."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor

from genattr.errors import require
from genattr.method import adaptive
from genattr.method.base import GENERATIVE, Method
from genattr.parameters import NotNegative, Pixels, Share
from genattr.probe import Probe
from genattr.types import Heatmap, Placement, RectangleHoles, Sample

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SlidingPatch(Method):
    """Slide a square hole over the photo; a cell's value is the drop of the probability.

    Parameters
    ----------
    patch_size
        Side of the square hole, in pixels of the classifier's input.
    stride
        Steps of the hole, in such pixels. Where they do not lead to the edge, a last window is
        flush with it.
    upsample
        ``stretch`` the cells over the image (the paper), or leave each ``centered`` on its window.
    search
        ``full``: every window. ``adaptive``: one window in nine, then more where the heatmap
        changes.
    tolerance
        Of ``adaptive``: share of the heatmap's range below which differences do not count.
    budget
        Of ``adaptive``: share of the windows that are evaluated at most.
    requires_inpainter
        Refuse fillers that do not synthesize from context: SP-G.
    """

    patch_size: Pixels
    stride: Pixels
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

    @property
    def in_words(self) -> str:
        return (
            f"A square of {self.patch_size} pixels hides one part of the photo after the other, "
            f"every {self.stride} pixels, and the classifier is asked again each time. The more "
            "its answer falls, the redder the place of the square; where the answer rises without "
            "that part, the place is blue."
        )

    def unit(self, quantity: str) -> str:
        return f"fall of the {quantity} when the square at this place is hidden"

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
        _tell_gaps(size, self.patch_size, self.stride)
        return len(starts(size, self.patch_size, self.stride))

    def explain(self, probe: Probe) -> Heatmap:
        n = self.cells(probe.size)
        boxes = self.cell_holes(probe.size).boxes
        place = self.placement(probe.size)

        def drop(cells: Tensor) -> Tensor:
            return probe.original - probe.score(RectangleHoles(boxes[cells], probe.size))

        if self.search == "adaptive":
            values = adaptive.search(drop, n, self.tolerance, self.budget, place.last_step)
        else:
            values = drop(torch.arange(n * n)).view(n, n)
        return probe.heatmap(values, probe.change_range, place)

    def sample_hole(self, heatmap: Heatmap, probe: Probe) -> Tensor:
        """Return the window that costs the most."""
        largest = int(heatmap.values.argmax())
        return self.cell_holes(probe.size).expand(slice(largest, largest + 1))

    def cell_holes(self, size: int) -> RectangleHoles:
        return windows(size, self.patch_size, self.stride)

    def reads(self, sample: Sample) -> dict[str, Any]:
        """Set maps with a last window flush with the edge apart from those without."""
        last_step = _last_step(sample.image.shape[-1], self.patch_size, self.stride)
        return {} if last_step == 1 else {"last_step": last_step}

    def placement(self, size: int) -> Placement:
        """Say where its cells sit in an image of ``size`` pixels."""
        last_step = _last_step(size, self.patch_size, self.stride)
        if self.upsample == "stretch":
            return Placement(last_step=last_step)
        return Placement("bilinear", self.patch_size / 2, float(self.stride), last_step)


def starts(size: int, patch_size: int, stride: int) -> Tensor:
    """Return where windows begin along an axis: every ``stride`` pixels, the last at the edge.

    Returns
    -------
    (n,) int64 from 0 to ``size - patch_size``, all different.
    """
    last = size - patch_size
    return torch.tensor([*range(0, last, stride), last])


def windows(size: int, patch_size: int, stride: int) -> RectangleHoles:
    """Return the windows that begin at ``starts`` on both axes, row by row from the top left."""
    start = starts(size, patch_size, stride)
    top, left = torch.meshgrid(start, start, indexing="ij")
    corner: Tensor = torch.stack([left.flatten(), top.flatten()], dim=1)
    return RectangleHoles(torch.cat([corner, corner + patch_size], dim=1), size)


def _last_step(size: int, patch_size: int, stride: int) -> float:
    """Return the distance of the last two windows as a share of the stride."""
    rest = (size - patch_size) % stride
    return rest / stride if rest else 1.0


@cache  # tells it once
def _tell_gaps(size: int, patch_size: int, stride: int) -> None:
    """Warn if windows leave gaps between them."""
    if stride > patch_size:
        start = starts(size, patch_size, stride)
        hidden = int((start.diff().clamp(max=patch_size)).sum()) + patch_size
        share = 1 - (hidden / size) ** 2
        log.warning(
            "method.stride=%d is larger than method.patch_size=%d: %.0f %% of every photo is "
            "never hidden", stride, patch_size, 100 * share,
        )  # fmt: skip
