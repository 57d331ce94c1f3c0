"""Rectangles of one size, cut out of a batch of images and pasted back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Crops:
    """One rectangle per image, all of one size.

    Attributes
    ----------
    top, left
        (n,) int64, inside the images and on their device.
    height, width
        In pixels.
    chosen
        (n,) int64, the images that they are of, without repetition; None: each of them.
    """

    top: Tensor
    left: Tensor
    height: int
    width: int
    chosen: Tensor | None = None

    def cut(self, images: Tensor) -> Tensor:
        """Cut (B, C, H, W), possibly one image expanded, to (n, C, height, width).

        If the crops cover the images, return the images themselves.
        """
        if images.shape[-2:] == (self.height, self.width):
            return images if self.chosen is None else images.index_select(0, self.chosen)
        return self._every(images)[self._rows, self.top, self.left]

    def paste(self, pieces: Tensor, images: Tensor) -> None:
        """Overwrite the rectangles of (B, C, H, W); the images must not share memory."""
        if images.shape[-2:] == (self.height, self.width):
            images.index_copy_(0, self._rows, pieces)
            return
        self._every(images)[self._rows, self.top, self.left] = pieces

    def coarse(self, scale: int) -> Crops:
        """Return the same rectangles in images that are smaller by a factor."""
        return replace(
            self,
            top=self.top // scale,
            left=self.left // scale,
            height=self.height // scale,
            width=self.width // scale,
        )

    @property
    def _rows(self) -> Tensor:
        if self.chosen is not None:
            return self.chosen
        return torch.arange(len(self.top), device=self.top.device)

    def _every(self, images: Tensor) -> Tensor:
        """View all rectangles of this size, (B, tops, lefts, C, height, width)."""
        count, channels, rows, columns = images.shape
        row, channel, down, across = images.stride()
        return images.as_strided(
            (
                *(count, rows - self.height + 1, columns - self.width + 1),
                *(channels, self.height, self.width),
            ),
            (row, down, across, channel, down, across),
            images.storage_offset(),
        )


def boxed(boxes: Tensor, device: torch.device) -> Crops:
    """Return (n, 4) boxes of one size as crops on a device."""
    x0, y0, x1, y1 = boxes[0].tolist()
    left, top = boxes[:, :2].to(device).unbind(1)
    return Crops(top, left, y1 - y0, x1 - x0)


def cut_out(images: Tensor, boxes: Tensor) -> Tensor:
    """Cut a box of one size, (n, 4), out of each of (n, C, H, W) images."""
    return boxed(boxes, images.device).cut(images)


def around(mask: Tensor, margin: int, grid: int = 1) -> Crops:
    """Return crops that contain the pixels of a mask and a margin, within the image.

    Parameters
    ----------
    mask
        (B, 1, H, W) bool; H and W are multiples of ``grid``.
    margin
        In pixels.
    grid
        Crops begin and end at its multiples.
    """
    height, width = mask.shape[-2:]
    down, across = (_axis(*spans, margin, grid) for spans in bounds(mask))
    tall, wide = torch.stack([down[1].max(), across[1].max()]).clamp(min=grid).tolist()
    return Crops(down[0].clamp(max=height - tall), across[0].clamp(max=width - wide), tall, wide)


Ends = tuple[Tensor, Tensor, int]  # the first and last of a mask's pixels on one axis; its length


def bounds(mask: Tensor) -> tuple[Ends, Ends]:
    """Return where the pixels of a mask begin and end, down and across.

    Parameters
    ----------
    mask
        (B, 1, H, W) bool.

    Returns
    -------
    For each axis the first and the last position, (B,) int64, and the axis' length; of an empty
    mask, the first is the axis' end and the last is 0.
    """
    numbers = mask[:, 0].view(torch.uint8)  # their maximum is found faster than any True
    return _ends(numbers.amax(dim=2) > 0), _ends(numbers.amax(dim=1) > 0)


def _ends(present: Tensor) -> Ends:
    length = present.shape[1]
    position = torch.arange(length, device=present.device)
    first = position.where(present, length - 1).amin(dim=1)
    return first, position.where(present, 0).amax(dim=1), length


def _axis(
    first: Tensor, last: Tensor, length: int, margin: int, grid: int
) -> tuple[Tensor, Tensor]:
    """Return where the crops would begin along one axis, and how long they would be."""
    start = (first - margin).clamp(min=0) // grid * grid
    stop = (last + margin).clamp(max=length - 1) // grid * grid + grid
    return start, stop - start
