"""Scoring by the classifier: batches of one size, probabilities, log-odds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from genattr.protocols import Classifier


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
    return classifier(functional.pad(images, (0, 0, 0, 0, 0, 0, 0, padding)))[: len(images)]


@torch.no_grad()
def first_choices(classifier: Classifier, images: Tensor, rows: int) -> Tensor:
    """Return the (N,) classes of the highest logit, scored in batches of so many rows."""
    batches = [padded_logits(classifier, batch, rows).argmax(dim=1) for batch in images.split(rows)]
    return torch.cat(batches)


def log_odds(logits: Tensor, targets: Tensor) -> Tensor:
    """Return log p - log(1 - p) of each row's target, finite also where p is 1.

    Parameters
    ----------
    logits
        (N, K).
    targets
        (N,) class indices.

    Returns
    -------
    (N,).
    """
    others = logits.scatter(1, targets[:, None], -torch.inf)
    return logits.gather(1, targets[:, None])[:, 0] - others.logsumexp(1)


class Scorer:
    """Scores images by the classifier for one target.

    Parameters
    ----------
    classifier
        The model under test.
    target
        Class index to explain.
    batch_size
        Every batch without gradient is padded to this many rows, so that a row's result does not
        depend on its neighbors.
    counts
        Counts the scored images.
    """

    def __init__(
        self, classifier: Classifier, target: int, *, batch_size: int = 32, counts: Counts
    ) -> None:
        self.classifier, self.target = classifier, target
        self.batch_size, self.counts = batch_size, counts

    def counting(self, counts: Counts) -> Scorer:
        """Return a scorer with other counters."""
        return Scorer(self.classifier, self.target, batch_size=self.batch_size, counts=counts)

    def prob(self, images: Tensor) -> Tensor:
        """Return the (N,) softmax probabilities of the target, differentiable."""
        return self._logits(images).softmax(1)[:, self.target]

    def log_odds(self, images: Tensor) -> Tensor:
        """Return the (N,) values log p - log(1 - p) of the target, finite also where p is 1."""
        targets = torch.full((len(images),), self.target, device=images.device)
        return log_odds(self._logits(images), targets)

    def first_choices(self, images: Tensor) -> Tensor:
        """Return the (N,) classes that the classifier names first."""
        self.counts.add_scored(len(images))
        return first_choices(self.classifier, images, self.batch_size)

    def _logits(self, images: Tensor) -> Tensor:
        """Score batch by batch; without gradient, each batch padded to one fixed size."""
        pieces = []
        for batch in images.split(self.batch_size):
            if torch.is_grad_enabled() and batch.requires_grad:
                pieces.append(self.classifier(batch))
            else:
                with torch.no_grad():
                    pieces.append(padded_logits(self.classifier, batch, self.batch_size))
            self.counts.add_scored(len(batch))
        return torch.cat(pieces)
