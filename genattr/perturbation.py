"""Removal of parts of one photo: Eq. 1, the only compositing in the project."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from genattr import seeds
from genattr.memory import Room, joined
from genattr.ops.crops import boxed
from genattr.ops.foreign import pictures, telling
from genattr.protocols import Filler
from genattr.scoring import Counts
from genattr.types import Holes, RectangleHoles, Sample


class Perturbation:
    """Removes parts of one photo: it has the photo, the filler of its holes, and the fills' seed.

    Parameters
    ----------
    sample
        The photo.
    filler
        Fills the holes.
    seed
        The run's seed.
    room
        Holes that ``perturbed`` fills at once; None: 32.
    device
        Where the photo is filled.
    counts
        Counts the fills.
    """

    def __init__(
        self,
        sample: Sample,
        filler: Filler,
        *,
        seed: int = 0,
        room: Room | None = None,
        device: torch.device | str = "cpu",
        counts: Counts | None = None,
    ) -> None:
        self.sample = sample
        self.image = sample.image.to(device)
        self.size = self.image.shape[-1]
        self.room = room or Room("batch_size", 32)
        self.counts = counts or Counts()
        self.filler = filler.for_sample(sample)
        self._given_filler = filler
        self._seed = seed

    def changed(
        self, counts: Counts, *, image: Tensor | None = None, filler: Filler | None = None
    ) -> Perturbation:
        """Return one with another image of the photo, or another filler; None: the same."""
        return Perturbation(
            self.sample if image is None else replace(self.sample, image=image),
            filler or self._given_filler,
            seed=self._seed,
            room=self.room,
            device=self.image.device,
            counts=counts,
        )

    def generator(self, purpose: str) -> torch.Generator:
        """Return a CPU generator that depends on run seed, photo and purpose alone."""
        return seeds.generator(self._seed, self.sample.image_id, purpose)

    def fill(self, hole: Tensor) -> Tensor:
        """Return the filler's own images, not composited.

        Parameters
        ----------
        hole
            (N, 1, D, D) in [0, 1]; 0.5 and more counts as removed.

        Returns
        -------
        (N, 3, D, D) in [0, 1], without gradient.
        """
        if self.has_one_fill:
            return self.one_fill.expand(len(hole), -1, -1, -1)
        return self._call_filler(hole.detach() >= 0.5)

    @property
    def has_one_fill(self) -> bool:
        """The filler neither reads the hole nor draws, so that one fill is enough."""
        return not self.filler.reads_hole and not self.filler.stochastic

    @cached_property
    def one_fill(self) -> Tensor:
        """(1, 3, D, D), the one fill of a filler that does not read the hole."""
        whole = torch.ones_like(self.image[None, :1], dtype=torch.bool)
        return self._call_filler(whole)

    @torch.no_grad()
    def _call_filler(self, hole: Tensor) -> Tensor:
        self.counts.filled += len(hole)
        images = self.image.expand(len(hole), -1, -1, -1)
        of_rows = self.seeds_of(hole)

        def fill(rows: slice) -> Tensor:
            return filled_by(self.filler, images[rows], hole[rows], of_rows[rows])

        return joined(self.room.each(len(hole), fill, whole=True))

    def seeds_of(self, hole: Tensor) -> list[int]:
        """Return the seed with which each of (N, 1, D, D) bool holes is filled."""
        if not self.filler.stochastic:
            return [0] * len(hole)
        return seeds.of_holes(hole, self._seed, self.sample.image_id, "fill")

    def composite(self, hole: Tensor, *, hard: bool = False) -> Tensor:
        """Remove the hole: Eq. 1, ``x * (1 - hole) + f * hole``; pixels kept whole stay bit-equal.

        Gradient flows through the hole alone.

        Parameters
        ----------
        hole
            (N, 1, D, D) bool, or float in [0, 1].
        hard
            Binarize at 0.5 in the forward pass, straight-through in the backward pass.

        Returns
        -------
        (N, 3, D, D) in [0, 1].
        """
        return mixed(self.image, self.fill(hole), hole, hard=hard)

    def perturbed(self, holes: Holes) -> Iterator[Tensor]:
        """Yield the composites of many holes, one batch of (n, 3, D, D) at a time."""
        there = holes.to(self.image.device)
        yield from self.room.each(len(there), lambda rows: self.composite(there.expand(rows)))

    def windows(self, boxes: Tensor, windows: Tensor) -> Tensor:
        """Return windows of the composites.

        Parameters
        ----------
        boxes, windows
            (n, 4) holes, and the windows of one size around them.

        Returns
        -------
        (n, 3, h, w) in [0, 1].
        """
        hole = RectangleHoles(boxes, self.size).to(self.image.device).expand(slice(None))
        image = self.image.expand(len(hole), -1, -1, -1)
        near = boxed(windows, image.device)
        removed, filled, kept = (near.cut(x) for x in (hole, self.fill(hole), image))
        return torch.where(removed, filled, kept)


def filled_by(filler: Filler, images: Tensor, hole: Tensor, row_seeds: Sequence[int]) -> Tensor:
    """Ask a filler; one of the user's own gets copies, and what it gives is checked.

    Parameters
    ----------
    images, hole, row_seeds
        See ``Filler.fill``.

    Raises
    ------
    UserError
        If such a filler fails, or gives no images in [0, 1].
    """
    if not filler.is_foreign:
        return filler.fill(images, hole, row_seeds)
    told = f"filler {filler.title}"
    with telling(f"{told} fails on {tuple(images.shape)} images"):
        filled = filler.fill(images.clone(), hole.clone(), list(row_seeds))
    return pictures(filled, images, told, waits=images.device.type == "cpu")


def mixed(image: Tensor, filled: Tensor, hole: Tensor, *, hard: bool = False) -> Tensor:
    """Put what is filled into the hole of an image: Eq. 1; see ``Perturbation.composite``.

    Parameters
    ----------
    image, filled, hole
        (..., 3, D, D), (..., 3, D, D) and (..., 1, D, D), broadcast against each other.
    """
    if hole.dtype == torch.bool:
        return torch.where(hole, filled, image)
    if hard:
        hole = (hole >= 0.5).to(hole.dtype) + (hole - hole.detach())
    return image * (1 - hole) + filled * hole


@torch.no_grad()
def fill_together(photos: Sequence[Perturbation], images: Tensor, hole: Tensor) -> Tensor:
    """Fill the holes of several photos by one call of each filler; the fills are not counted.

    A filler's rows do not depend on each other, so that each is as if it was filled alone.

    Parameters
    ----------
    photos
        P of them; they have the fillers and seeds.
    images
        (P, R, 3, D, D) in [0, 1]: what is filled, such as the photos moved by some pixels.
    hole
        (P, R, 1, D, D) bool.

    Returns
    -------
    (P, R, 3, D, D) in [0, 1].
    """
    places = defaultdict(list)
    for place, photo in enumerate(photos):
        places[id(photo.filler)].append(place)
    if len(places) == 1:
        return _fill_alike(photos, images, hole)
    filled = images.clone(memory_format=torch.contiguous_format)
    for alike in places.values():
        filled[alike] = _fill_alike([photos[at] for at in alike], images[alike], hole[alike])
    return filled


def _fill_alike(photos: Sequence[Perturbation], images: Tensor, hole: Tensor) -> Tensor:
    """Fill the holes of photos that have the same filler."""
    row_seeds = [
        seed for photo, holes in zip(photos, hole, strict=True) for seed in photo.seeds_of(holes)
    ]
    filled = filled_by(photos[0].filler, images.flatten(0, 1), hole.flatten(0, 1), row_seeds)
    return filled.reshape(images.shape)
