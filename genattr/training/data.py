"""Crops at random, cut from the file of pixels that ``reading`` wrote."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from genattr.training.draws import Draws, uniform, whole
from genattr.training.reading import PIXELS, read_index

MEMORY_SHARE = 0.4  # of a GPU's free memory that photos may take
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue
WIDEST = 224  # pixels of a photo that a crop shows at most, reduced
AS_THEY_ARE, SLIGHTLY = 0.45, 0.85  # shares of steps: crops not reduced; reduced by at most 1.25


class Photos:
    """Photos as one flat tensor of pixels, from which crops are gathered.

    Parameters
    ----------
    pixels
        (P,) int32, each the bytes R, G, B, A; where it lies is where crops are cut.
    heights, widths
        (N,) sizes in pixels.
    offsets
        (N,) where each photo begins.
    device
        Where crops are wanted.
    """

    def __init__(
        self,
        pixels: Tensor,
        heights: NDArray[np.int64],
        widths: NDArray[np.int64],
        offsets: NDArray[np.int64],
        device: torch.device,
    ) -> None:
        order = np.argsort(np.minimum(heights, widths), kind="stable")
        self._pixels, self._device = pixels, device
        self._shorter = np.minimum(heights, widths)[order]
        self._heights, self._widths, self._offsets = (
            torch.from_numpy(values[order]).to(pixels.device)
            for values in (heights, widths, offsets)
        )

    def __len__(self) -> int:
        return len(self._shorter)

    @property
    def source(self) -> torch.device:
        """Where crops are cut, and where ``crops`` wants its numbers drawn."""
        return self._pixels.device

    def crops(self, count: int, side: int, gray: float, draws: Draws) -> Tensor:
        """Cut and mirror crops at random, of photos that are large enough for what they show.

        Parameters
        ----------
        side
            Of the crops, in pixels; what they show may be larger, and is then reduced.
        gray
            Share of them without color.

        Returns
        -------
        (count, 3, side, side) float in [-1, 1], on the device.
        """
        shown = min(_shown(side, draws.host), int(self._shorter[-1]))
        cut = self._cut(count, shown, draws.generator)
        colorless = uniform(draws.generator, count) < gray
        return _finished(cut.to(self._device), side, colorless.to(self._device))

    def _cut(self, count: int, shown: int, generator: torch.Generator) -> Tensor:
        """Gather (count, shown, shown, 3) uint8, mirrored or not."""
        first = int(np.searchsorted(self._shorter, shown))
        photo = whole(generator, count, low=first, high=len(self))
        height, width = self._heights[photo], self._widths[photo]
        top = (uniform(generator, count) * (height - shown + 1)).long()
        left = (uniform(generator, count) * (width - shown + 1)).long()
        line = torch.arange(shown, device=self.source)
        mirrored = uniform(generator, count, 1) < 0.5
        columns = torch.where(mirrored, shown - 1 - line, line) + left[:, None]
        rows = (line + top[:, None]) * width[:, None] + self._offsets[photo][:, None]
        places = rows[:, :, None] + columns[:, None, :]
        bytes_of = self._pixels[places.view(-1)].view(torch.uint8)
        return bytes_of.view(count, shown, shown, 4)[..., :3]


def _shown(side: int, host: np.random.Generator) -> int:
    """Draw how many pixels of a photo a crop shows: as many, a few more, or up to 224."""
    kind, widest = host.random(), max(WIDEST, side)
    if kind < AS_THEY_ARE or side >= WIDEST * 3 // 4:
        return side
    return int(host.uniform(side, 1.25 * side if kind < SLIGHTLY else widest))


def _finished(cut: Tensor, side: int, colorless: Tensor) -> Tensor:
    """Turn (N, S, S, 3) bytes into (N, 3, side, side) in [-1, 1], some of them without color."""
    images = cut.permute(0, 3, 1, 2).float() / 127.5 - 1
    if images.shape[-1] != side:
        images = functional.interpolate(
            images, (side, side), mode="bilinear", align_corners=False, antialias=True
        )
    return torch.where(colorless[:, None, None, None], without_color(images), images)


def without_color(images: Tensor) -> Tensor:
    """Return the luma of (N, 3, H, W) images in all three channels."""
    weights = torch.tensor(LUMA, device=images.device).view(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True).expand_as(images)


def load(folder: Path, held_out: int, device: torch.device, side: int) -> tuple[Photos, Tensor]:
    """Open the file of pixels, and hold a few photos out.

    Parameters
    ----------
    held_out
        How many; a tenth of the photos at most. A hash of the name chooses them.
    side
        Of the photos held out, in pixels: the central squares.

    Returns
    -------
    The photos to train on; those held out, (M, 3, side, side) in [-1, 1], or one that is trained
    on where there are too few to hold any out.
    """
    index = read_index(folder)
    heights, widths = (np.array(sizes, np.int64) for sizes in (index.heights, index.widths))
    areas = heights * widths
    offsets = np.concatenate([[0], areas.cumsum()[:-1]])
    pixels = torch.from_numpy(np.memmap(folder / PIXELS, np.int32, "c"))
    ordered = sorted(range(len(areas)), key=lambda place: _shuffling(index.names[place]))
    count = min(held_out, len(areas) // 10)
    aside = ordered[: max(count, 1)]
    squares = [
        _square(pixels, int(heights[place]), int(widths[place]), int(offsets[place]), side)
        for place in aside
    ]
    trained = np.array(sorted(ordered[count:]))
    photos = Photos(
        _near(pixels, device), heights[trained], widths[trained], offsets[trained], device
    )
    return photos, torch.cat(squares)


def _shuffling(name: str) -> bytes:
    return hashlib.blake2b(name.encode(errors="surrogateescape")).digest()


def _near(pixels: Tensor, device: torch.device) -> Tensor:
    """Move pixels to a GPU whose free memory holds them well."""
    if device.type != "cuda":
        return pixels
    free, _ = torch.cuda.mem_get_info(device)
    return pixels.to(device) if pixels.numel() * 4 < MEMORY_SHARE * free else pixels


def _square(pixels: Tensor, height: int, width: int, offset: int, side: int) -> Tensor:
    """Return a photo's central square, (1, 3, side, side) in [-1, 1]."""
    photo = pixels[offset : offset + height * width].view(torch.uint8).view(height, width, 4)
    shown = min(height, width)
    top, left = (height - shown) // 2, (width - shown) // 2
    square = photo[None, top : top + shown, left : left + shown, :3]
    return _finished(square, side, torch.zeros(1, dtype=torch.bool))
