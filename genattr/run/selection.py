"""Choice of photos from a dataset: limit, sample, correct only, held out, shard."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch

from genattr import config, seeds
from genattr.errors import BadPhotoError, require
from genattr.protocols import Classifier, Dataset
from genattr.scoring import first_choices, padded_logits


@dataclass(frozen=True)
class Chosen:
    """Positions of the photos in the dataset.

    Attributes
    ----------
    evaluation
        Explained and reported.
    held_out
        Explained only to choose thresholds on.
    part, parts
        Which part of the run's photos these are, and of how many; by default they are all.
    """

    evaluation: list[int]
    held_out: list[int]
    part: int = 0
    parts: int = 1

    def __len__(self) -> int:
        return len(self.evaluation) + len(self.held_out)

    @property
    def placed(self) -> Iterator[tuple[int, int, str]]:
        """The photos' places among all of the run, their positions in the dataset, their splits."""
        photos = [(index, "evaluation") for index in self.evaluation]
        photos += [(index, "held_out") for index in self.held_out]
        for number, (index, split) in enumerate(photos):
            yield self.part + number * self.parts, index, split

    def divided(self, parts: int) -> list[Chosen]:
        """Deal all photos out in turn."""
        return [
            Chosen(
                self.evaluation[part::parts],
                self.held_out[(part - len(self.evaluation)) % parts :: parts],
                part,
                parts,
            )
            for part in range(parts)
        ]


def select(
    dataset: Dataset,
    classifier: Classifier,
    selection: config.Selection,
    device: torch.device,
    batch_size: int,
    on_bad_photo: Callable[[BadPhotoError], None],
    watch: Callable[[Iterable[int], int], Iterable[int]],
) -> Chosen:
    """Choose photos; the choice depends on the selection, not on the run's seed or the shard.

    Held-out photos are the ones that follow the evaluated ones, taken by the same rules; without
    a bound, all photos but the last are evaluated. A shard gets every ``count``-th photo of both.

    Parameters
    ----------
    on_bad_photo
        Called with the error of each photo that cannot be read.
    watch
        Wraps an iterable of at most the given length, to show progress if it takes long.

    Raises
    ------
    UserError
        If the dataset has too few photos left for ``held_out``, or none at all.
    """
    order, wanted = _order(dataset, selection)
    chosen = order[:wanted]
    if selection.correct_only:
        right = _correct(dataset, classifier, order, device, batch_size, on_bad_photo)
        chosen = list(watch(islice(right, wanted), wanted))
    evaluation, held_out = _split(chosen, selection)
    _check(selection, evaluation, held_out)
    shard, part = selection.shard, _part(selection)
    require(
        len(evaluation[part]) > 0,
        f"selection.shard.index={shard.index}: nothing is left for it of {len(evaluation)} photos "
        f"in {shard.count} shards; lower selection.shard.count",
    )
    return Chosen(evaluation[part], held_out[part])


def candidates(dataset: Dataset, selection: config.Selection) -> list[int]:
    """Return the photos that ``select`` may choose, without opening any."""
    order, wanted = _order(dataset, selection)
    if selection.correct_only:
        return order
    return [
        index for photos in _split(order[:wanted], selection) for index in photos[_part(selection)]
    ]


def _order(dataset: Dataset, selection: config.Selection) -> tuple[list[int], int]:
    """Return all photos in the order in which they are looked at, and how many are wanted."""
    order = list(range(len(dataset)))
    if selection.sample is not None:
        random.Random(seeds.derive("selection", selection.seed)).shuffle(order)
    bounds = _bounds(selection)
    return order, min(bounds) + selection.held_out if bounds else len(order)


def _bounds(selection: config.Selection) -> list[int]:
    return [bound for bound in (selection.limit, selection.sample) if bound is not None]


def _split(chosen: list[int], selection: config.Selection) -> tuple[list[int], list[int]]:
    """Divide chosen photos into evaluated and held-out ones."""
    bounds = _bounds(selection)
    evaluated = min(bounds) if bounds else max(len(chosen) - selection.held_out, 0)
    return chosen[:evaluated], chosen[evaluated:]


def _part(selection: config.Selection) -> slice:
    """Return the places of the shard's photos."""
    return slice(selection.shard.index, None, selection.shard.count)


def _check(selection: config.Selection, evaluation: list[int], held_out: list[int]) -> None:
    only = " that the classifier gets right" if selection.correct_only else ""
    require(len(evaluation) > 0, f"no photo is left{only}")
    require(
        len(held_out) == selection.held_out,
        f"selection.held_out={selection.held_out}: only {len(held_out)} photos{only} are left "
        "beside the evaluated ones; lower it, selection.limit or selection.sample",
    )


def _correct(
    dataset: Dataset,
    classifier: Classifier,
    order: list[int],
    device: torch.device,
    batch_size: int,
    on_bad_photo: Callable[[BadPhotoError], None],
) -> Iterator[int]:
    """Yield, batch by batch, the photos whose label is the classifier's first choice."""
    remaining = iter(order)
    while indices := list(islice(remaining, batch_size)):
        loaded = []
        for index in indices:
            try:
                loaded.append((index, dataset.load(index, classifier.input_size)))
            except BadPhotoError as error:
                on_bad_photo(error)
        if not loaded:
            continue
        images = torch.stack([sample.image for _, sample in loaded]).to(device)
        logits = padded_logits(classifier, images, batch_size)
        choices = first_choices(classifier, logits).tolist()
        for (index, sample), choice in zip(loaded, choices, strict=True):
            if choice in [twin.label for twin in (sample, *sample.others)]:
                yield index
