"""Data types that datasets, classifiers, fillers, methods and metrics exchange.

Conventions (all modules): images are float32 RGB in [0, 1]; D is the classifier's input size; a
``hole`` is 1 where the photo is *removed*; boxes are x0, y0, x1, y1, half-open, in the image's
D x D frame; a heatmap is higher where there is more evidence *for* the target.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Sample:
    """One photo, ready for the classifier.

    Attributes
    ----------
    image
        (3, D, D) float32 RGB in [0, 1].
    label
        Class index, or None where the photo is unlabelled.
    image_id
        Name of the photo, unique in its dataset.
    boxes
        (k, 4) float32 boxes of the labelled object, or None where the photo has none.
    native_size
        Height and width of the photo before it was resized, in pixels.
    region
        The part of it that the image shows: x0, y0, x1, y1 in native pixels; None: the whole.
    others
        The same photo under its further labels, each with the boxes of that label.
    """

    image: Tensor
    label: int | None
    image_id: str
    boxes: Tensor | None
    native_size: tuple[int, int]
    region: tuple[float, float, float, float] | None = None
    others: tuple[Sample, ...] = ()

    def of_class(self, target: int) -> Sample:
        """Return the photo under one of its labels if it has that one, else under its first."""
        return next((twin for twin in self.others if twin.label == target), self)


class Holes(ABC):
    """Many holes of one image, turned into masks only chunk by chunk."""

    @abstractmethod
    def __len__(self) -> int:
        """Count the holes."""

    @abstractmethod
    def expand(self, rows: slice) -> Tensor:
        """Return the chosen holes as an (n, 1, D, D) bool tensor, True = removed."""

    @abstractmethod
    def to(self, device: torch.device) -> Holes:
        """Return the same holes on a device, where they are then expanded."""


@dataclass(frozen=True)
class RectangleHoles(Holes):
    """One rectangle per hole.

    Attributes
    ----------
    boxes
        (N, 4) int64 half-open rectangles.
    size
        D.
    """

    boxes: Tensor
    size: int

    def __len__(self) -> int:
        return len(self.boxes)

    def expand(self, rows: slice) -> Tensor:
        x0, y0, x1, y1 = self.boxes[rows, :, None].unbind(1)
        pixel = torch.arange(self.size, device=self.boxes.device)
        across = (pixel >= x0) & (pixel < x1)
        down = (pixel >= y0) & (pixel < y1)
        return (down[:, :, None] & across[:, None, :])[:, None]

    def to(self, device: torch.device) -> RectangleHoles:
        return RectangleHoles(self.boxes.to(device), self.size)


@dataclass(frozen=True)
class SegmentHoles(Holes):
    """A hole is a set of segments of a label map.

    Attributes
    ----------
    removed
        (N, K) bool, True = the segment is removed.
    segments
        (D, D) int64 labels in 0..K-1.
    """

    removed: Tensor
    segments: Tensor

    def __len__(self) -> int:
        return len(self.removed)

    def expand(self, rows: slice) -> Tensor:
        return self.removed[rows][:, self.segments][:, None]

    def to(self, device: torch.device) -> SegmentHoles:
        return SegmentHoles(self.removed.to(device), self.segments.to(device))


@dataclass(frozen=True)
class DenseHoles(Holes):
    """Holes given as masks, for small numbers of holes.

    Attributes
    ----------
    masks
        (N, 1, D, D) bool, True = removed.
    """

    masks: Tensor

    def __len__(self) -> int:
        return len(self.masks)

    def expand(self, rows: slice) -> Tensor:
        return self.masks[rows]

    def to(self, device: torch.device) -> DenseHoles:
        return DenseHoles(self.masks.to(device))


@dataclass(frozen=True)
class Placement:
    """Where the cells of a native heatmap sit in the D x D image.

    Attributes
    ----------
    interpolation
        Between cells: ``bilinear`` or ``nearest``.
    origin, stride
        Center of the first cell and distance of the centers, in pixels of the image, the same on
        both axes; None: the cells are stretched over the whole image.
    last_step
        Distance of the last two centers, as a share of that of the others: below 1 where the last
        window of a grid was moved back to the image's edge.
    """

    interpolation: Literal["bilinear", "nearest"] = "bilinear"
    origin: float | None = None
    stride: float | None = None
    last_step: float = 1.0

    def span(self, cells: int) -> float:
        """Return the distance of the first from the last of so many centers, in steps."""
        return max(cells - 2, 0) + self.last_step * min(cells - 1, 1)

    def index(self, steps: Tensor, cells: int) -> Tensor:
        """Turn distances from the first center, in steps, into fractional indices of cells.

        Beyond the outermost centers it is the index of these.
        """
        if self.last_step == 1:
            return steps.clamp(0, cells - 1)
        even = max(cells - 2, 0)
        beyond = (steps - even).clamp(min=0) / self.last_step
        return (steps.clamp(0, even) + beyond).clamp(max=cells - 1)


@dataclass(frozen=True)
class Heatmap:
    """An attribution map at its native resolution, raw and signed.

    Attributes
    ----------
    values
        (h, w) float32; higher = more evidence for the target.
    value_range
        The lowest and highest value that the method can give; infinite where there is no bound.
    placement
        Where a cell sits in the image.
    image_id, target
        The photo and the class index that are explained.
    score
        s(x), the target's probability on the untouched photo.
    n_scored, n_filled
        Images that the classifier scored and that the filler filled for this map.
    seconds
        Wall time of the explanation.
    details
        Further numbers of the method, such as the count of superpixels.
    """

    values: Tensor
    value_range: tuple[float, float]
    placement: Placement
    image_id: str
    target: int
    score: float
    n_scored: int
    n_filled: int
    seconds: float = 0.0
    details: Mapping[str, float] = field(default_factory=dict)

    def to_image(self, size: int) -> Tensor:
        """Upsample to (size, size): the only upsampling of heatmaps in the project.

        Bilinear with ``align_corners=False`` or nearest; windows put each value at its window's
        true center and extend the edges (docs/methods.md, "centered").
        """
        place = self.placement
        if place.origin is not None and place.stride is not None:
            center = torch.arange(size, dtype=torch.float32, device=self.values.device) + 0.5
            return _resampled(self.values, place, (center - place.origin) / place.stride)
        values = self.values if place.last_step == 1 else _evened(self.values, place)
        if values.shape == (size, size):
            return values
        corners = None if place.interpolation == "nearest" else False
        return functional.interpolate(
            values[None, None],
            size=(size, size),
            mode=place.interpolation,
            align_corners=corners,
        )[0, 0]


def _evened(values: Tensor, place: Placement) -> Tensor:
    """Interpolate square values at as many places of equal distances, from edge to edge."""
    cells = len(values)
    steps = torch.linspace(0, place.span(cells), cells, device=values.device)
    return _resampled(values, place, steps)


def _resampled(values: Tensor, place: Placement, steps: Tensor) -> Tensor:
    """Interpolate linearly between cell centers; beyond the outermost, their value.

    Parameters
    ----------
    steps
        Distances from the first center, on both axes.
    """
    for axis in (0, 1):
        last = values.shape[axis] - 1
        position = place.index(steps, last + 1)
        lower = position.floor().long()
        upper = (lower + 1).clamp(max=last)
        weight = (position - lower).unsqueeze(1 - axis)
        low, high = values.index_select(axis, lower), values.index_select(axis, upper)
        values = low + weight * (high - low)
    return values
