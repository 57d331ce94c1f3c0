"""Scoring by the classifier: batches of one size, probabilities, log-odds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from genattr.errors import require
from genattr.memory import Room, joined
from genattr.ops.foreign import oddity, telling
from genattr.protocols import Classifier

NO_GRADIENT = (
    "gives none: something inside cuts it off, such as torch.no_grad(), .detach(), .data or NumPy"
)
Quantity = Literal["probability", "logit", "log_odds"]


def ignore(_: int) -> None:
    """Ignore progress."""


@dataclass
class Counts:
    """Images that the classifier scored and that the filler filled.

    Attributes
    ----------
    on_scored
        Called with the number of images after each scored batch.
    """

    on_scored: Callable[[int], None] = ignore
    scored: int = 0
    filled: int = 0

    def add_scored(self, count: int) -> None:
        """Add scored images, and report them to ``on_scored``."""
        self.scored += count
        self.on_scored(count)


def batch_rows(images: int, most: int) -> int:
    """Return the rows that a batch is padded to: the next power of two, or the largest batch.

    So there are few sizes, and how a photo is batched follows from what is asked about it alone.

    Parameters
    ----------
    images
        In the batch, at least 1.
    most
        The largest batch; need not be a power of two.
    """
    return min(1 << (images - 1).bit_length(), most)


def answers(classifier: Classifier, images: Tensor) -> Tensor:
    """Ask a classifier; one of the user's own gets a copy, and what it gives is checked.

    Parameters
    ----------
    images
        (B, 3, D, D) in [0, 1].

    Returns
    -------
    (B, K) float32 logits in memory of their own, differentiable where the images are.

    Raises
    ------
    UserError
        If it fails, does not give a number for each of its classes, or cuts the gradient off.
    """
    told = f"classifier {classifier.title}"
    with telling(f"{told} fails on {tuple(images.shape)} images"):
        logits = classifier(images.clone() if classifier.is_foreign else images)
    shape = (len(images), len(classifier.labels))
    odd = oddity(logits, shape, images.device)
    require(not odd, f"{told} gives {odd}, not {shape}: a logit for each of its classes")
    if not torch.is_grad_enabled():
        return logits.detach().float().clone()
    require(logits.requires_grad or not images.requires_grad, f"{told} {NO_GRADIENT}")
    return logits.float().clone()


def padded_logits(classifier: Classifier, images: Tensor, rows: int) -> Tensor:
    """Score one batch, padded with black images so that a row does not depend on its neighbors.

    Parameters
    ----------
    images
        (N, 3, D, D); N at most ``rows``.
    rows
        Images in the batch that the classifier sees.

    Returns
    -------
    (N, K) logits, differentiable where the images are.
    """
    padding = rows - len(images)
    padded = functional.pad(images, (0, 0, 0, 0, 0, 0, 0, padding))
    return answers(classifier, padded)[: len(images)]


def first_choices(classifier: Classifier, logits: Tensor) -> Tensor:
    """Return the (N,) classes of the highest of (N, K) logits.

    Raises
    ------
    UserError
        If there is NaN or infinity among the logits.
    """
    bad = int((~logits.isfinite()).any(dim=1).sum())
    require(
        bad == 0,
        f"classifier {classifier.title} gives NaN or infinity for {bad} of {len(logits)} images: "
        "check its weights and outputs",
    )
    return logits.argmax(dim=1)


@dataclass(frozen=True)
class Scores:
    """The classifier's scores of a batch, differentiable; (N,) each, computed when asked for.

    Attributes
    ----------
    logits
        (N, K) of the classifier.
    targets
        (N,) class indices.
    explain
        The quantity that is explained.
    """

    classifier: Classifier
    logits: Tensor
    targets: Tensor
    explain: Quantity

    @property
    def prob(self) -> Tensor:
        """Probability of the target."""
        return self._of_target(self.classifier.probabilities(self.logits))

    @property
    def log_odds(self) -> Tensor:
        """Log p - log(1 - p) of the target, finite also where p is 1."""
        return self.classifier.log_odds(self.logits, self.targets)

    @property
    def explained(self) -> Tensor:
        """The quantity that is explained."""
        return self.prob if self.explain == "probability" else self.unbounded

    @property
    def unbounded(self) -> Tensor:
        """The log-odds, or the logit if that is explained: its gradient does not vanish at 1."""
        return self._of_target(self.logits) if self.explain == "logit" else self.log_odds

    def _of_target(self, values: Tensor) -> Tensor:
        return values.gather(1, self.targets[:, None])[:, 0]


class Scorer:
    """Scores images by the classifier for one target.

    Parameters
    ----------
    classifier
        The model under test.
    target
        Class index to explain.
    room
        The largest batch. Every batch without gradient is padded to ``batch_rows``, so that a row's
        result does not depend on its neighbors.
    counts
        Counts the scored images.
    explain
        The quantity that is explained.
    """

    def __init__(
        self,
        classifier: Classifier,
        target: int,
        *,
        room: Room,
        counts: Counts,
        explain: Quantity = "probability",
    ) -> None:
        self.classifier, self.target = classifier, target
        self.room, self.counts = room, counts
        self.explain = explain

    def changed(
        self,
        counts: Counts,
        explain: Quantity | None = None,
        classifier: Classifier | None = None,
        target: int | None = None,
    ) -> Scorer:
        """Return a scorer with other counters, and perhaps of something else."""
        return Scorer(
            classifier or self.classifier,
            self.target if target is None else target,
            room=self.room,
            counts=counts,
            explain=explain or self.explain,
        )

    def scores(self, images: Tensor) -> Scores:
        """Return the target's scores in (N, 3, D, D) images, differentiable."""
        return self.read(self.logits(images))

    def read(self, logits: Tensor) -> Scores:
        """Return the target's scores from (N, K) logits; NaN where any logit is not finite."""
        logits = logits.masked_fill(~logits.isfinite().all(dim=1, keepdim=True), torch.nan)
        targets = torch.full((len(logits),), self.target, device=logits.device)
        return Scores(self.classifier, logits, targets, self.explain)

    @torch.no_grad()
    def first_choices(self, images: Tensor) -> Tensor:
        """Return the (N,) classes that the classifier names first."""
        return first_choices(self.classifier, self.logits(images))

    def logits(self, images: Tensor) -> Tensor:
        """Score batch by batch: (N, K); without gradient, each batch padded to ``batch_rows``."""
        count = max(len(images), 1)
        return joined(self.room.each(count, lambda rows: self._batch(images[rows])))

    def _batch(self, batch: Tensor) -> Tensor:
        if torch.is_grad_enabled() and batch.requires_grad:
            logits = answers(self.classifier, batch)
        else:
            rows = batch_rows(len(batch), self.room.size)
            with torch.no_grad():
                logits = padded_logits(self.classifier, batch, rows)
        self.counts.add_scored(len(batch))
        return logits
