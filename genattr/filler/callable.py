"""The user's filler: a function given by its Python path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genattr.assets import import_path
from genattr.errors import require
from genattr.ops.foreign import pictures, telling
from genattr.protocols import Filler

CHANGED = 0.05  # difference of pixels that counts


@dataclass(frozen=True)
class CallableFiller(Filler):
    """A function ``(images, hole, seeds) -> images``.

    It gets (B, 3, D, D) images in [0, 1], a (B, 1, D, D) bool hole (True = removed) and one seed
    per row, and returns whole images, (B, 3, D, D) in [0, 1]; pixels outside the hole do not
    matter. A row must not depend on its neighbors. Stored heatmaps are reused as long as the file
    that the path names does not change.

    Parameters
    ----------
    path
        Such as ``package.module:name``; the caller's folder is searched too.
    inpaints
        It synthesizes from the hole's surroundings, as G methods require.
    reads_hole
        Its image depends on the hole; if not, it is called once per photo.
    stochastic
        It draws from the seeds, and from nothing else; if not, they are all 0.
    """

    path: str | None
    inpaints: bool
    reads_hole: bool
    stochastic: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        require(bool(self.path), "filler=callable needs filler.path=package.module:function")
        self._function()

    def _function(self) -> Callable[..., Any]:
        return import_path.load(str(self.path), "filler.path")

    @property
    def title(self) -> str:
        return str(self.path).rpartition(":")[2]

    @property
    def fingerprint(self) -> str:
        """Hash of the file that the path names."""
        return import_path.source_hash(str(self.path))

    def fill(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        """Call the function; UserError unless it returns images."""
        with telling(f"filler.path={self.path} fails on {tuple(images.shape)} images"):
            filled = self._function()(images.clone(), hole.clone(), seeds)  # it may write there
        filled = pictures(filled, images, f"filler.path={self.path}")
        require(
            not _is_turned_round(images, hole, filled),
            f"filler.path={self.path} gives the removed pixels back and changes the others: the "
            "hole is True where the photo is removed",
        )
        return filled


def _is_turned_round(images: Tensor, hole: Tensor, filled: Tensor) -> bool:
    """Whether exactly the hole, which is not flat, is as in the photo, and the rest far from it."""
    before, after = (part.transpose(0, 1)[:, hole[:, 0]] for part in (images, filled))
    if hole.all() or not before.numel() or not torch.equal(before, after):
        return False
    rest = (images - filled).abs().mean(dim=1, keepdim=True)[~hole]
    varies = (before.amax(dim=1) - before.amin(dim=1)).max() > CHANGED
    return bool(varies & (rest.mean() > CHANGED))
