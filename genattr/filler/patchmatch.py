"""PatchMatch: the hole is filled with patches of the rest of the photo."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import Ge
from numpy.typing import NDArray
from torch import Tensor

from genattr.errors import UserError, require
from genattr.filler.base import PlainFiller, from_levels
from genattr.filler.mirror import Mirror
from genattr.parameters import MANY_PIXELS, Radius, that
from genattr.types import Sample

log = logging.getLogger(__name__)
Pixels = NDArray[np.uint8]
BY_MIRROR = "filled_by_mirror"


def _is_odd(number: int) -> bool:
    return number % 2 == 1


@dataclass(frozen=True)
class PatchMatch(PlainFiller):
    """Barnes et al.'s PatchMatch over an image pyramid, by the package patchmatch-cython.

    It works on 8 bits. If the rest of the photo does not contain a single whole patch, at full
    size or on a coarser level, PatchMatch fails and the mirror fills that hole; the same holds for
    a photo that is removed whole. These fills are counted per photo (``counts``, in the heatmap's
    details as ``filled_by_mirror``), and a photo's first one is logged.

    Parameters
    ----------
    patch_size
        Side of a patch in pixels, odd.
    mirror_sigma
        In pixels, of the mirror that fills holes which leave no whole patch to copy.
    """

    patch_size: Annotated[int, Ge(1), MANY_PIXELS, *that(_is_odd, "odd and at least 1")]
    mirror_sigma: Radius
    counts: dict[str, float] = field(
        init=False, compare=False, default_factory=dict, metadata={"identity": False}
    )

    inpaints: ClassVar[bool] = True
    reads_hole: ClassVar[bool] = True
    stochastic: ClassVar[bool] = True

    extra: ClassVar[str] = "patchmatch"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.counts[BY_MIRROR] = 0
        _library()

    def for_sample(self, sample: Sample) -> PatchMatch:
        """Return a copy with counts of 0; UserError if no patch fits in the photo."""
        side = min(sample.image.shape[-2:])
        require(
            self.patch_size <= side,
            f"filler.patch_size={self.patch_size}: must be at most the image's {side} pixels",
        )
        return replace(self)

    def fill(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        pixels = (images * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        masks = hole[:, 0].cpu().numpy()
        tried = [self._fill_one(*row) for row in zip(pixels, masks, seeds, strict=True)]
        completed = [whole if whole is not None else pixels[0] for whole in tried]
        filled = from_levels(np.stack(completed), images).contiguous()
        refused = [row for row, whole in enumerate(tried) if whole is None]
        if refused:
            self._count(len(refused))
            rows = torch.tensor(refused, device=images.device)
            filled[rows] = Mirror(self.mirror_sigma).fill(images[rows], hole[rows], [])
        return filled

    def _fill_one(self, pixels: Pixels, mask: NDArray[np.bool_], seed: int) -> Pixels | None:
        """Return the filled photo, or None if PatchMatch has no source patch."""
        try:
            completed: Pixels = _library()(
                pixels, mask, patch_size=self.patch_size, seed=seed % 2**32
            )
        except ValueError as error:
            if "source" not in str(error):
                raise
            return None
        return completed

    def _count(self, refused: int) -> None:
        if self.counts[BY_MIRROR] == 0:
            log.warning("patchmatch finds no patch to fill some holes from: mirror fills those")
        self.counts[BY_MIRROR] += refused


def _library() -> Callable[..., Any]:
    try:
        from patchmatch_cython import inpaint_pyramid
    except ImportError as error:
        raise UserError("filler=patchmatch needs pip install patchmatch-cython") from error
    return inpaint_pyramid  # type: ignore[no-any-return]
