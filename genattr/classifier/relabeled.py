"""A dataset whose labels are the classifier's classes, matched by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from genattr.classifier.matching import are_numbered, match
from genattr.protocols import Classifier, Dataset
from genattr.types import Sample


def index_of(dataset: Dataset, classifier: Classifier) -> Mapping[int, int] | None:
    """Return the classifier's index of each class of a dataset that it knows; None: the same.

    Classes are matched by name if both sides have names, and by position if the classifier's are
    numbered and as many.
    """
    names, known = dataset.class_names, classifier.labels
    if names is None or list(names) == list(known):
        return None
    if are_numbered(known):
        is_positional = dataset.indexes_outputs and len(names) == len(known)
        return None if is_positional else {}
    return match(names, known)


class Relabeled(Dataset):
    """Photos of a dataset, with the classifier's indices as labels.

    A photo of classes that the classifier does not know has neither label nor boxes.

    Parameters
    ----------
    dataset
        The photos.
    index_of
        The classifier's index of each class that it knows.
    """

    def __init__(self, dataset: Dataset, index_of: Mapping[int, int]) -> None:
        self._dataset, self._index_of = dataset, index_of

    @property
    def ids(self) -> Sequence[str]:
        return self._dataset.ids

    @cached_property
    def photo_labels(self) -> Sequence[int | None]:
        return [labels[0] if labels else None for labels in self.label_sets]

    @cached_property
    def label_sets(self) -> Sequence[Sequence[int]]:
        """The classes of each photo that the classifier knows."""
        sets = self._dataset.label_sets
        return [
            [self._index_of[label] for label in labels if label in self._index_of]
            for labels in sets
        ]

    @property
    def has_boxes(self) -> bool:
        return self._dataset.has_boxes

    def load(self, index: int, size: int) -> Sample:
        """Decode one photo; BadPhotoError if it cannot be read."""
        sample = self._dataset.load(index, size)
        twins = [replace(twin, others=()) for twin in (sample, *sample.others)]
        known = [
            replace(twin, label=None if twin.label is None else self._index_of[twin.label])
            for twin in twins
            if twin.label is None or twin.label in self._index_of
        ]
        if not known:
            return replace(twins[0], label=None, boxes=None)
        return replace(known[0], others=tuple(known[1:]))
