"""Accuracy of an independent classifier after the removal: the paper's Table 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Judge(RemovalMetric):
    """Share of photos whose class a judge names first, before and after the removal.

    A judge whose classes have a probability of their own names those above 0.5.

    Parameters
    ----------
    threshold
        See ``RemovalMetric``.
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
        if are_numbered(names) or are_numbered(known):
            require(
                len(names) == len(known),
                f"metric.judge={self.judge.title} knows {len(known)} classes, and classifier "
                f"{classifier.title} knows {len(names)}: it must be of the same classes",
            )
            return
        found = match(names, known)
        lacking = [name for index, name in enumerate(names) if index not in found]
        require(
            not lacking,
            f"metric.judge={self.judge.title} has no {abridged(lacking)}, which classifier "
            f"{classifier.title} has: it must be of the same classes",
        )

    def compare(self, probe: Probe, filled: Tensor) -> dict[str, Any]:
        self.judge.to(filled.device)
        target = self._class_of(probe)
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

    def _class_of(self, probe: Probe) -> int:
        """Return the judge's index of the explained class."""
        names, known = probe.classifier.labels, self.judge.labels
        if are_numbered(names) or are_numbered(known):
            return probe.target
        return match(names, known)[probe.target]
