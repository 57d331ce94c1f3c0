"""Several photos in one batch, whose tensors keep their places while photos come and go."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from genattr.perturbation import fill_together, mixed
from genattr.probe import Probe
from genattr.scoring import Scores, answers


class Stack:
    """Several probes in the slots of one batch, removed from and scored together.

    The tensors keep their shapes and places while other probes take the slots, so that a GPU can
    replay what reads them.

    Parameters
    ----------
    slots
        S, the most probes at a time.
    like
        One of the probes: all have its classifier, explained quantity, image size and device.

    Attributes
    ----------
    probes
        One per slot; None: the slot is free.
    images
        (S, 3, D, D) in [0, 1]; black where a slot is free.
    fills
        (S, 3, D, D) in [0, 1], of fillers for which one fill of a photo is enough.
    asking
        Slots of the other fillers, which are asked about each hole.
    """

    def __init__(self, slots: int, like: Probe) -> None:
        self.probes: list[Probe | None] = [None] * slots
        self.images = torch.zeros(slots, *like.image.shape, device=like.image.device)
        self.fills = torch.zeros_like(self.images)
        self.asking: list[int] = []
        self._targets = torch.zeros(slots, dtype=torch.long, device=like.image.device)
        self._scorer = like.scorer

    def put(self, slot: int, probe: Probe) -> None:
        """Let a probe take a slot."""
        self.probes[slot] = probe
        self.images[slot] = probe.image
        self._targets[slot] = probe.target
        if probe.perturbation.has_one_fill:
            self.fills[slot] = probe.perturbation.one_fill[0]
        else:
            self.asking = sorted([*self.asking, slot])

    def free(self, slot: int) -> None:
        """Take the probe out of a slot."""
        self.probes[slot] = None
        self.asking = [other for other in self.asking if other != slot]
        for values in (self.images, self.fills, self._targets):
            values[slot] = 0

    @property
    def asks_all(self) -> bool:
        """No filler is content with one fill."""
        return len(self.asking) == sum(probe is not None for probe in self.probes)

    def composite(self, hole: Tensor, *, hard: bool = False) -> Tensor:
        """Remove holes of each photo, as ``Probe.composite`` does; the fills are not counted.

        Parameters
        ----------
        hole
            (S, R, 1, D, D), float in [0, 1].

        Returns
        -------
        (S, R, 3, D, D) in [0, 1].
        """
        return self.composite_in(self.images, self.fills, self.probes, hole, hard=hard)

    def composite_in(
        self,
        images: Tensor,
        fills: Tensor,
        probes: Sequence[Probe | None],
        hole: Tensor,
        *,
        hard: bool = False,
    ) -> Tensor:
        """Remove holes of other images in place of the photos; see ``composite``.

        Parameters
        ----------
        images, fills
            (S, 3, D, D), as the attributes of these names.
        probes
            Those of the images, one per slot.
        """
        images = images[:, None]
        filled = self._filled(images, fills[:, None], probes, hole)
        return mixed(images, filled, hole, hard=hard)

    def _filled(
        self, images: Tensor, fills: Tensor, probes: Sequence[Probe | None], hole: Tensor
    ) -> Tensor:
        """Ask the fillers for which one fill is not enough."""
        if not self.asking:
            return fills
        photos = [probe.perturbation for slot in self.asking if (probe := probes[slot])]
        of_rows = images.expand(-1, hole.shape[1], -1, -1, -1), hole.detach() >= 0.5
        if len(self.asking) == len(probes):
            return fill_together(photos, *of_rows)
        filled = fills.repeat(1, hole.shape[1], 1, 1, 1)
        filled[self.asking] = fill_together(photos, *(part[self.asking] for part in of_rows))
        return filled

    def scores(self, images: Tensor) -> Scores:
        """Score (S, R, 3, D, D) images, each for its own probe's target; they are not counted.

        Returns
        -------
        Scores of S * R rows, photo by photo.
        """
        targets = self._targets.repeat_interleave(images.shape[1])
        classifier = self._scorer.classifier
        logits = answers(classifier, images.flatten(0, 1))
        return Scores(classifier, logits, targets, self._scorer.explain)
