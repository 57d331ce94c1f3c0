"""Mirror: an inpainter without weights.

Colors continue smoothly into the hole (pull-push); texture is mirrored across the hole's border.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from genattr.filler.base import IMAGENET_MEAN, PlainFiller, channels
from genattr.ops.crops import Crops, around
from genattr.ops.gaussian import radius, reflect, smoothing
from genattr.ops.nearest import nearest_known
from genattr.parameters import Radius

REACHES = (1.0, 0.6, 0.3)  # how far beyond the border, as a share of the distance to it
LEAST_WEIGHT = 1e-3


@dataclass(frozen=True)
class Mirror(PlainFiller):
    """A smooth base of the surrounding colors, plus the texture mirrored from outside the hole.

    A hole pixel p with nearest known pixel b takes its texture from b + t (b - p), the first known
    one for t = 1, 0.6, 0.3. A photo that is removed whole becomes gray.

    Parameters
    ----------
    sigma
        Standard deviation in pixels of the Gaussian that separates base and texture.
    """

    sigma: Radius

    inpaints: ClassVar[bool] = True
    reads_hole: ClassVar[bool] = True
    is_light: ClassVar[bool] = True

    def fill(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        filled = images.clone(memory_format=torch.contiguous_format)
        grid = _grid(hole)
        near = around(hole, margin=grid, grid=grid)
        near.paste(_colors(images, hole, near, grid), filled)
        self._add_texture(filled, images, hole, near)
        whole = near.cut(hole).flatten(1).all(dim=1)[:, None, None, None]
        gray = channels(IMAGENET_MEAN, images)
        near.paste(gray.where(whole, near.cut(filled).clamp(0, 1)), filled)
        return filled

    def _add_texture(self, filled: Tensor, images: Tensor, hole: Tensor, holes: Crops) -> None:
        """Add to hole pixels the texture of the known pixels that mirror them."""
        row, y, x = mirrored(hole, holes)
        sources = torch.zeros_like(hole)
        sources[row, 0, y[1], x[1]] = True
        near = around(sources, margin=radius(self.sigma))
        texture = self._texture(images, hole, near)
        source = row, slice(None), y[1] - near.top[row], x[1] - near.left[row]
        filled[row, :, y[0], x[0]] += texture[source]

    def _texture(self, images: Tensor, hole: Tensor, near: Crops) -> Tensor:
        """Return details finer than sigma in crops, (B, 3, h, w); exact ``radius`` inside them."""
        known_mask = (~near.cut(hole)).to(images.dtype)
        visible = near.cut(images) * known_mask
        down = _smoothing(hole.shape[-2], self.sigma, near.top, near.height, visible)
        across = _smoothing(hole.shape[-1], self.sigma, near.left, near.width, visible).mT
        weight = (down @ known_mask @ across).clamp(min=LEAST_WEIGHT)
        return visible - down @ visible @ across / weight


def _smoothing(length: int, sigma: float, start: Tensor, width: int, like: Tensor) -> Tensor:
    """Return the (B, 1, width, width) parts of the smoothing matrix for crops along one axis."""
    matrix = smoothing(length, sigma, like)[None, None]
    if width == length:
        return matrix
    return Crops(start, start, width, width).cut(matrix.expand(len(start), -1, -1, -1))


def _grid(hole: Tensor) -> int:
    """Return the largest power of two up to 8 that divides height and width."""
    return math.gcd(8, *hole.shape[-2:])


def _colors(images: Tensor, hole: Tensor, near: Crops, scale: int) -> Tensor:
    """Continue known colors, in crops that hold the holes; the same as for whole images.

    Down to ``scale`` only the crops are pulled; where all pixels are known, plain averages are
    enough.
    """
    known_mask = (~near.cut(hole)).to(images.dtype)
    photo = images[:1] if images.stride(0) == 0 else images
    return _pull_push_near(near.cut(images) * known_mask, known_mask, photo, near, scale)


def _pull_push_near(
    visible: Tensor, known_mask: Tensor, photo: Tensor, near: Crops, scale: int
) -> Tensor:
    """Run ``pull_push`` in crops of photos that are known everywhere else.

    Parameters
    ----------
    visible, known_mask
        The crops.
    photo
        (1, 3, H, W) or (B, 3, H, W), at the same scale.
    scale
        Factor of reduction at which the whole photo is used instead of crops.
    """
    if visible.shape[-2:] == photo.shape[-2:]:
        return pull_push(visible, known_mask)
    if scale == 1:
        whole = photo.expand(len(visible), -1, -1, -1).clone()
        weight = torch.ones_like(whole[:, :1])
        near.paste(visible, whole)
        near.paste(known_mask, weight)
        return near.cut(pull_push(whole, weight))
    coarse = _pull_push_near(*_pull(visible, known_mask), _halve(photo), near.coarse(2), scale // 2)
    return _push(visible, known_mask, coarse)


def pull_push(visible: Tensor, known_mask: Tensor) -> Tensor:
    """Continue known colors into unknown pixels, smoothly, from coarse to fine.

    Parameters
    ----------
    visible
        (B, 3, H, W), 0 where unknown.
    known_mask
        (B, 1, H, W) weights, 1 = known.
    """
    if visible.shape[-1] == 1 and visible.shape[-2] == 1:
        return visible
    return _push(visible, known_mask, pull_push(*_pull(visible, known_mask)))


def _pull(visible: Tensor, known_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Halve colors and weights."""
    weight = _halve(known_mask)
    color = _halve(visible) / weight.clamp(min=1e-12)
    weight = (4 * weight).clamp(max=1)
    return color * weight, weight


def _push(visible: Tensor, known_mask: Tensor, coarse: Tensor) -> Tensor:
    """Fill unknown pixels from the coarser level."""
    upsampled = functional.interpolate(
        coarse, size=visible.shape[-2:], mode="bilinear", align_corners=False
    )
    return visible + (1 - known_mask) * upsampled


def _halve(images: Tensor) -> Tensor:
    return functional.avg_pool2d(images, 2, ceil_mode=True, count_include_pad=False)


def mirrored(
    hole: Tensor, near: Crops
) -> tuple[Tensor, tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Find the source of each hole pixel's texture.

    Parameters
    ----------
    hole
        (B, 1, H, W) bool.
    near
        Crops that contain the holes and a pixel around them.

    Returns
    -------
    Rows of the batch, then (hole pixel, source pixel) as y and as x; pixels without a source are
    left out.
    """
    height, width = hole.shape[-2:]
    there = near.cut(hole)
    pixels = there[:, 0].nonzero().unbind(1)
    row = pixels[0]
    corner = near.top[row], near.left[row]
    border = [a + b for a, b in zip(nearest_known(there, pixels), corner, strict=True)]
    y, x = (a + b for a, b in zip(pixels[1:], corner, strict=True))
    unknown = hole.flatten()
    has_source = torch.zeros_like(row, dtype=torch.bool)
    source_y, source_x = y, x
    for reach in REACHES:
        here_y = reflect(_beyond(y, border[0], reach), height)
        here_x = reflect(_beyond(x, border[1], reach), width)
        usable = ~has_source & ~unknown.take((row * height + here_y) * width + here_x)
        source_y = torch.where(usable, here_y, source_y)
        source_x = torch.where(usable, here_x, source_x)
        has_source |= usable
    (at,) = has_source.nonzero(as_tuple=True)
    row, y, x, source_y, source_x = (part[at] for part in (row, y, x, source_y, source_x))
    return row, (y, source_y), (x, source_x)


def _beyond(pixel: Tensor, border: Tensor, reach: float) -> Tensor:
    return (border + reach * (border - pixel)).round().long()
