"""Base of inpainting networks: all processing between a photo with a hole and the network.

An inpainter is a frozen dataclass on ``Inpainter`` (or, for a PyTorch network, on
``NetworkInpainter``) with one method, ``synthesize``; docs/how-to/add-an-inpainter.md shows one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from genattr import seeds
from genattr.assets.weights import fingerprint
from genattr.errors import require
from genattr.ops.crops import Crops, bounds
from genattr.ops.gaussian import reflect
from genattr.parameters import BatchSize, Margin, Pixels
from genattr.protocols import Filler

Size = tuple[int, int]  # height and width


@dataclass(frozen=True)
class Convention:
    """A network's conventions for photos and holes.

    Attributes
    ----------
    low, high
        Value of a black and of a white pixel.
    bgr
        The channels are blue, green, red.
    keep
        The mask is 1 where the photo is kept, instead of where it is removed.
    multiple
        Height and width must be multiples of it, in pixels.
    blank
        Value of the network's input image in the hole; in [0, 1], 0 = black.
    removed_beyond
        Padding at the bottom and the right to a multiple counts as removed; otherwise photo and
        hole are reflected there.
    output
        Value of a black and of a white pixel of its output; None: ``low`` and ``high``.
    """

    low: float = 0.0
    high: float = 1.0
    bgr: bool = False
    keep: bool = False
    multiple: int = 1
    blank: float = 0.5
    removed_beyond: bool = False
    output: tuple[float, float] | None = None

    def to_network(self, images: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
        """Turn images in [0, 1] and a hole (1 = removed) into the network's inputs."""
        scaled = self.low + images * (self.high - self.low)
        return self._ordered(scaled), 1 - hole if self.keep else hole

    def from_network(self, images: Tensor) -> Tensor:
        """Turn the network's images into RGB, 0 = black, 1 = white."""
        low, high = self.output or (self.low, self.high)
        return self._ordered((images - low) / (high - low))

    def extended(self, images: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
        """Pad images in [0, 1] and their hole to multiples of height and width."""
        if self.removed_beyond:
            return filled_to(images, self.multiple, self.blank), filled_to(hole, self.multiple, 1)
        return padded_to(images, self.multiple), padded_to(hole, self.multiple)

    def _ordered(self, images: Tensor) -> Tensor:
        return images.flip(1) if self.bgr else images


@dataclass(frozen=True, kw_only=True)
class Inpainter(Filler):
    """A network that synthesizes a hole's content from its surroundings, as ``protocols.Filler``.

    The photo is resized to the network's frame, where the hole is binarized at 0.5, dilated and
    blanked; the network sees all of it, or a window around the hole, in its own convention. Its
    whole image is resized back, not composited. Without resizing (``size=None``), or with a hole
    dilated by the 2 px that resizing smears, it cannot have seen the content that it replaces.

    Parameters
    ----------
    size
        Side of the network's frame in pixels. None: the photo's own.
    dilate
        The network's hole is larger by so many pixels of its frame on each side.
    context
        ``full``, or None: the network sees the whole frame. A number: a window that contains the
        hole and so many pixels of the frame on each side, moved inward at the frame's edges, its
        sides rounded up to the network's multiple.
    batch_size
        Rows that the network sees at once. Fewer are padded to it, so that a row's result does not
        depend on its neighbors. ``auto``: one on a CPU; on a GPU the largest power of two of
        windows that have together no more pixels than ``room``.
    """

    size: Pixels | None
    dilate: Margin
    context: Literal["full"] | Margin | None
    batch_size: BatchSize = field(metadata={"identity": False})

    inpaints: ClassVar[bool] = True
    reads_hole: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.convention  # raises UserError for an empty range

    @abstractmethod
    def synthesize(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        """Run the network, in its own convention.

        Parameters
        ----------
        images
            (n, 3, h, w), h and w multiples of the convention's ``multiple``; the hole is blank.
        hole
            (n, 1, h, w) float of 0 and 1.
        seeds
            One per row; ignored unless ``stochastic``.

        Returns
        -------
        (n, 3, h, w), in the network's own convention.
        """

    @property
    def convention(self) -> Convention:
        """The network's conventions."""
        return Convention()

    @property
    def stochastic(self) -> bool:
        """It draws from the seeds."""
        return False

    @property
    def room(self) -> int:
        """Pixels of all windows that the network sees at once on a GPU, by ``batch_size: auto``."""
        return 8 * 256**2

    def together(self, height: int, width: int, device: torch.device) -> int:
        """Return the exact number of windows of this size in each batch of the network."""
        if self.batch_size != "auto":
            return self.batch_size
        return 1 if device.type == "cpu" else as_many(height, width, self.room)

    @torch.no_grad()
    def fill(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        """Return whole filled images; see ``protocols.Filler``."""
        frame, wanted = self._framed(images, hole)
        filled = frame.clone()
        for rows, window in self._batches(wanted):
            drawn = [seeds[row] if self.stochastic else 0 for row in rows]
            window.paste(self._run(window.cut(frame), window.cut(wanted), drawn), filled)
        self._check_finite(filled)
        return resize(filled, *images.shape[-2:]).clamp(0, 1)

    def _framed(self, images: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
        """Resize photos and holes to the network's frame."""
        height, width = (self.size, self.size) if self.size else images.shape[-2:]
        wanted = resize(hole.to(images.dtype), height, width) >= 0.5
        return resize(images, height, width), dilated(wanted, self.dilate)

    def _batches(self, hole: Tensor) -> Iterator[tuple[list[int], Crops]]:
        """Yield windows that the network sees at once, and the rows that they are of."""
        top, left, sizes = self._windows(hole)
        groups = list(batches(sizes, partial(self.together, device=hole.device)))
        order = torch.tensor([row for rows in groups for row in rows], device=hole.device)
        for rows, chosen in zip(groups, order.split([len(rows) for rows in groups]), strict=True):
            yield rows, Crops(top[chosen], left[chosen], *sizes[rows[0]], chosen)

    def _windows(self, hole: Tensor) -> tuple[Tensor, Tensor, list[Size]]:
        """Return the parts of the frames that the network sees: tops, lefts, heights and widths."""
        if self.context in (None, "full"):
            corner = torch.zeros(len(hole), dtype=torch.long, device=hole.device)
            return corner, corner, [(hole.shape[-2], hole.shape[-1])] * len(hole)
        return windows_around(hole, int(self.context), self.convention.multiple)

    def _run(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        """Show the network windows of photos, and return its images."""
        return self._ask(images, hole, seeds, self.convention)

    def _ask(
        self, images: Tensor, hole: Tensor, seeds: Sequence[int], convention: Convention
    ) -> Tensor:
        """Blank and pad, convert to the network's convention, run it, and convert back."""
        rows, (height, width) = len(images), images.shape[-2:]
        hidden = images.masked_fill(hole, convention.blank)
        missing = self.together(height, width, images.device) - rows
        padded = convention.extended(hidden, hole.to(images.dtype))
        inputs = convention.to_network(*(repeat_last(part, missing) for part in padded))
        output = self.synthesize(*inputs, [*seeds, *[seeds[-1]] * missing])
        self._check_shape(output, inputs[0])
        return convention.from_network(output.to(images))[:rows, :, :height, :width]

    def _check_shape(self, output: Tensor, images: Tensor) -> None:
        given, due = tuple(output.shape), tuple(images.shape)
        require(given == due, f"{type(self).__name__}: the network gives {given}, not {due}")

    def _check_finite(self, filled: Tensor) -> None:
        problem = f"{type(self).__name__}: the network gives values that are no numbers"
        require(bool(torch.stack(filled.aminmax()).isfinite().all()), problem)


@dataclass(frozen=True, kw_only=True)
class NetworkInpainter(Inpainter):
    """An inpainter whose network is a PyTorch module; a subclass says how it is built."""

    @abstractmethod
    def build(self) -> nn.Module:
        """Return the network with its weights."""

    @cached_property
    def network(self) -> nn.Module:
        """The network, in evaluation mode."""
        with seeds.fixed(0):
            network = self.build().eval()
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        return network

    def network_on(self, device: torch.device) -> nn.Module:
        """Return the network, moved to the device that the images are on."""
        return self.network.to(device)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the weights."""
        return fingerprint(self.network)


def resize(images: Tensor, height: int, width: int) -> Tensor:
    """Resize bilinearly, pixel centers aligned, without antialiasing; no-op for the same size."""
    if images.shape[-2:] == (height, width):
        return images
    return functional.interpolate(
        images, size=(height, width), mode="bilinear", align_corners=False
    )


def dilated(hole: Tensor, pixels: int) -> Tensor:
    """Dilate a (B, 1, H, W) bool hole by so many pixels, diagonally too."""
    if pixels == 0:
        return hole
    wide = functional.max_pool2d(hole.float(), 2 * pixels + 1, stride=1, padding=pixels)
    return wide > 0


def padded_to(images: Tensor, multiple: int) -> Tensor:
    """Reflect (B, C, H, W) images at the bottom and the right, to multiples of a number."""
    for axis in (2, 3):
        side = images.shape[axis]
        if side % multiple:
            position = torch.arange(rounded_up(side, multiple), device=images.device)
            images = images.index_select(axis, reflect(position, side))
    return images


def filled_to(images: Tensor, multiple: int, value: float) -> Tensor:
    """Add a value to (B, C, H, W) images at the bottom and the right, to multiples of a number."""
    below, beside = (rounded_up(side, multiple) - side for side in images.shape[-2:])
    return functional.pad(images, (0, beside, 0, below), value=value)


def repeat_last(images: Tensor, times: int) -> Tensor:
    """Add copies of the last row."""
    if times == 0:
        return images
    return torch.cat([images, images[-1:].expand(times, -1, -1, -1)])


def windows_around(hole: Tensor, margin: int, multiple: int) -> tuple[Tensor, Tensor, list[Size]]:
    """Return the windows around (B, 1, H, W) holes and a margin; the whole image if it is empty.

    Returns
    -------
    Top and left, (B,) int64 each, and each window's height and width.
    """
    (top, tall), (left, wide) = (_span(*ends, margin, multiple) for ends in bounds(hole))
    return top, left, [(high, across) for high, across in torch.stack([tall, wide], 1).tolist()]


def _span(
    first: Tensor, last: Tensor, size: int, margin: int, multiple: int
) -> tuple[Tensor, Tensor]:
    """Widen the spans of the removed pixels of one axis, then move them inward at the ends."""
    least = last + 1 - first + 2 * margin
    length = ((least + multiple - 1) // multiple * multiple).clamp(max=size)
    length = length.masked_fill(last < first, size)
    return (first - margin).clamp(min=0).minimum(size - length), length


def rounded_up(number: int, multiple: int) -> int:
    """Return the next multiple, or the number itself if it is one."""
    return -(-number // multiple) * multiple


def as_many(height: int, width: int, room: int) -> int:
    """Return the largest power of two of windows with at most ``room`` pixels; at least 1."""
    return 1 << (max(room // (height * width), 1).bit_length() - 1)


def batches(sizes: Sequence[Size], together: Callable[[int, int], int]) -> Iterator[list[int]]:
    """Yield batches of rows with windows of equal size, at most ``together`` of that size."""
    alike: dict[Size, list[int]] = defaultdict(list)
    for row, size in enumerate(sizes):
        alike[size].append(row)
    for (height, width), rows in alike.items():
        limit = together(height, width)
        for start in range(0, len(rows), limit):
            yield rows[start : start + limit]
