"""Accuracy of an independent classifier after the removal: the paper's Table 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from genattr.classifier.matching import are_numbered, match
from genattr.classifier.trial import check_answers
from genattr.errors import abridged, require
from genattr.metric.base import Direction
from genattr.metric.removal import RemovalMetric
from genattr.probe import Probe
from genattr.protocols import Classifier
from genattr.types import Sample


@dataclass(frozen=True)
class Judge(RemovalMetric):
    """Share of photos whose class a judge names first, before and after the removal.

    A judge whose classes have a probability of their own names those above 0.5.

    Parameters
    ----------
    threshold
        The removed part: pixels of at least this share of the map's maximum.
    judge
        A classifier of the same classes, by name, other than the one that is explained; photos are
        resized bilinearly to its input size.
    """

    judge: Classifier

    direction: ClassVar[Direction] = "lower"
    names: ClassVar[Sequence[str]] = ("accuracy", "accuracy_before")

    def check(self, classifier: Classifier, device: torch.device) -> None:
        """Refuse a judge of other classes, or one whose answers cannot be used."""
        self.judge.to(device)
        check_answers(self.judge, device)
        names, known = classifier.labels, self.judge.labels
        found = _index_of(tuple(names), tuple(known))
        lacking = [name for index, name in enumerate(names) if index not in found]
        problem = f"has no {abridged(lacking)}, which classifier {classifier.title} has"
        if _by_position(names, known):
            problem = (
                f"knows {len(known)} classes, and classifier {classifier.title} knows {len(names)}"
            )
        require(
            not lacking,
            f"metric.judge={self.judge.title} {problem}: it must be of the same classes",
        )

    def reads(self, sample: Sample) -> dict[str, Any]:
        """Add the names of its classes, which decide which of them is the photo's."""
        return super().reads(sample) | {"classes": list(self.judge.labels)}

    def compare(self, probe: Probe, filled: Tensor) -> dict[str, Any]:
        self.judge.to(filled.device)
        target = _index_of(tuple(probe.classifier.labels), tuple(self.judge.labels))[probe.target]
        size = self.judge.input_size
        images = torch.cat([filled, probe.image[None]])
        if images.shape[-1] != size:
            images = functional.interpolate(
                images, size=(size, size), mode="bilinear", align_corners=False
            )
        with torch.no_grad():
            logits = self.judge(images)
        require(
            not bool(logits.isnan().any()),
            f"metric.judge={self.judge.title} gives NaN for {probe.sample.image_id}",
        )
        named = logits[:, target] > 0 if self.judge.sigmoid else logits.argmax(dim=1) == target
        return {name: float(hit) for name, hit in zip(self.names, named.tolist(), strict=True)}


def _by_position(names: Sequence[str], known: Sequence[str]) -> bool:
    """Whether one side's names say nothing but the index."""
    return are_numbered(names) or are_numbered(known)


@lru_cache(maxsize=4)
def _index_of(names: tuple[str, ...], known: tuple[str, ...]) -> Mapping[int, int]:
    """Return the judge's index of each class that it knows, found once for all photos."""
    if _by_position(names, known):
        return dict(enumerate(range(len(names)))) if len(names) == len(known) else {}
    return match(names, known)
