"""The nouns of the project: what travels between dataset, classifier, filler, method and metric.

Conventions (all modules): images are float32 RGB in [0, 1]; D is the classifier's input size; a
``hole`` is 1 where the photo is *removed*; boxes are x0, y0, x1, y1, half-open, in the image's
D x D frame; a heatmap is higher where there is more evidence *for* the target.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from genattr.probe import Probe


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
    """

    image: Tensor
    label: int | None
    image_id: str
    boxes: Tensor | None
    native_size: tuple[int, int]
    region: tuple[float, float, float, float] | None = None


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
    """One rectangle a hole.

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
    """Holes that are masks already, for where there are few.

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
    """

    interpolation: Literal["bilinear", "nearest"] = "bilinear"
    origin: float | None = None
    stride: float | None = None


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
        true center and extend the edges (methods.md, "centered").
        """
        place = self.placement
        if place.origin is not None and place.stride is not None:
            return _centered(self.values, place.origin, place.stride, size)
        if self.values.shape == (size, size):
            return self.values
        corners = None if place.interpolation == "nearest" else False
        return functional.interpolate(
            self.values[None, None],
            size=(size, size),
            mode=place.interpolation,
            align_corners=corners,
        )[0, 0]


def _centered(values: Tensor, origin: float, stride: float, size: int) -> Tensor:
    """Interpolate linearly between cell centers; beyond the outermost, their value."""
    for axis in (0, 1):
        last = values.shape[axis] - 1
        center = torch.arange(size, dtype=torch.float32, device=values.device) + 0.5
        position = ((center - origin) / stride).clamp(0, last)
        lower = position.floor().long()
        upper = (lower + 1).clamp(max=last)
        weight = (position - lower).unsqueeze(1 - axis)
        low, high = values.index_select(axis, lower), values.index_select(axis, upper)
        values = low + weight * (high - low)
    return values


class Dataset(Protocol):
    """Photos by position, each with a unique name."""

    @property
    def ids(self) -> Sequence[str]:
        """Names of the photos, in the dataset's order, known without opening any."""

    @property
    def photo_labels(self) -> Sequence[int | None]:
        """Class of each photo, in the order of ``ids``, known without opening any photo."""

    @property
    def has_boxes(self) -> bool:
        """Whether any photo comes with boxes, known without opening any photo."""

    @property
    def n_classes(self) -> int | None:
        """How many classes the labels are indices of, known without opening any photo; or None."""

    def __len__(self) -> int:
        """Count the photos."""

    def load(self, index: int, size: int) -> Sample:
        """Decode one photo and bring it to size x size; BadPhotoError if it cannot be read."""


class Classifier(Protocol):
    """Images in [0, 1] to logits; normalizes inside; differentiable."""

    @property
    def input_size(self) -> int:
        """D, the side of the square images that it takes, in pixels."""

    @property
    def labels(self) -> Sequence[str]:
        """Names of the classes, by index."""

    @property
    def fingerprint(self) -> str:
        """Hash of the weights."""

    def to(self, device: torch.device) -> None:
        """Move the weights."""

    def __call__(self, images: Tensor) -> Tensor:
        """Map (B, 3, D, D) to (B, K) logits, or log-probabilities."""


class Filler(Protocol):
    """What stands in a hole."""

    @property
    def inpaints(self) -> bool:
        """It synthesizes from the hole's surroundings, as G methods require."""

    @property
    def reads_hole(self) -> bool:
        """Its image depends on where the hole is; if not, one fill serves a whole photo."""

    @property
    def stochastic(self) -> bool:
        """It draws from the seeds."""

    def for_sample(self, sample: Sample) -> Filler:
        """Return the filler for this photo: itself, unless the photo decides a parameter."""

    def fill(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        """Return whole filled images; never composites.

        Parameters
        ----------
        images
            (B, 3, D, D) in [0, 1].
        hole
            (B, 1, D, D) bool, True = removed.
        seeds
            One a row; read only by stochastic fillers.

        Returns
        -------
        (B, 3, D, D) in [0, 1].
        """


class Method(Protocol):
    """An attribution method."""

    def calls(self, size: int) -> int:
        """Bound the number of images that one explanation scores; for progress and cost."""

    def explain(self, probe: Probe) -> Heatmap:
        """Explain the probe's target on the probe's photo."""


class Metric(Protocol):
    """A score of heatmaps.

    Attributes
    ----------
    direction
        Which way is better.
    """

    direction: ClassVar[Literal["lower", "higher"]]

    def calls(self, size: int) -> int:
        """Bound the number of images that one heatmap's score needs."""

    def per_image(self, heatmap: Heatmap, probe: Probe) -> dict[str, Any]:
        """Score one heatmap: named numbers or lists of numbers, None where undefined."""

    def aggregate(
        self, rows: Sequence[Mapping[str, Any]], held_out_rows: Sequence[Mapping[str, Any]]
    ) -> dict[str, float | Sequence[float]]:
        """Combine rows of ``per_image``.

        A sequence holds one number a row (NaN where undefined); whoever reports it adds mean,
        interval and count. A float, such as a threshold chosen on held-out photos, stands as is.
        """
