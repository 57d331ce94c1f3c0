"""Rectangles of one size, one per image, cut out of a batch and pasted back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Crops:
    """One rectangle per image, all of one size.

    Attributes
    ----------
    top, left
        (B,) int64, inside the images.
    height, width
        In pixels.
    """

    top: Tensor
    left: Tensor
    height: int
    width: int

    def cut(self, images: Tensor) -> Tensor:
        """Cut (B, C, H, W), possibly one image expanded, to (B, C, height, width).

        If the crops cover the images, return the images themselves.
        """
        if images.shape[-2:] == (self.height, self.width):
            return images
        every = self._every(images)
        row = torch.arange(len(images), device=images.device)
        return every[row, self.top.to(images.device), self.left.to(images.device)]

    def paste(self, pieces: Tensor, images: Tensor) -> None:
        """Overwrite the rectangles of (B, C, H, W); the images must not share memory."""
        if images.shape[-2:] == (self.height, self.width):
            images.copy_(pieces)
            return
        row = torch.arange(len(images), device=images.device)[:, None, None]
        y = torch.arange(self.height)[None, :, None] + self.top[:, None, None]
        x = torch.arange(self.width)[None, None, :] + self.left[:, None, None]
        there = images.permute(0, 2, 3, 1)
        there[row, y.to(images.device), x.to(images.device)] = pieces.permute(0, 2, 3, 1)

    def coarse(self, scale: int) -> Crops:
        """Return the same rectangles in images that are smaller by a factor."""
        return Crops(
            self.top // scale, self.left // scale, self.height // scale, self.width // scale
        )

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


def cut_out(images: Tensor, boxes: Tensor) -> Tensor:
    """Cut a box of one size, (n, 4), out of each of (n, C, H, W) images."""
    left, top, right, bottom = boxes.unbind(1)
    return Crops(top, left, int(bottom[0] - top[0]), int(right[0] - left[0])).cut(images)


def around(row: Tensor, y: Tensor, x: Tensor, images: Tensor, margin: int, grid: int = 1) -> Crops:
    """Return crops that contain given pixels and a margin, within the image.

    Parameters
    ----------
    row, y, x
        (n,) the pixels, on the CPU.
    images
        (B, C, H, W) that contain the pixels; H and W are multiples of ``grid``.
    margin
        In pixels.
    grid
        Crops begin and end at its multiples.
    """
    height, width = images.shape[-2:]
    top, tall = _axis(row, y, len(images), height, margin, grid)
    left, wide = _axis(row, x, len(images), width, margin, grid)
    return Crops(top, left, tall, wide)


def _axis(
    row: Tensor, pixel: Tensor, count: int, length: int, margin: int, grid: int
) -> tuple[Tensor, int]:
    """Return where the crops begin along one axis, and how long they are."""
    first = torch.full((count,), length - 1).scatter_reduce(0, row, pixel, "amin")
    last = torch.zeros(count, dtype=torch.long).scatter_reduce(0, row, pixel, "amax")
    first = (first - margin).clamp(min=0) // grid * grid
    last = (last + margin).clamp(max=length - 1) // grid * grid + grid
    size = max(int((last - first).max()), grid)
    return first.clamp(max=length - size), size
