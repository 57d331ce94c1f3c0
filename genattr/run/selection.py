"""Choice of photos from a dataset: names, limit, sample, correct only, held out, shard."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import torch
from torch import Tensor

from genattr import config, seeds
from genattr.errors import BadPhotoError, UserError, abridged, require
from genattr.files import content, expanded
from genattr.memory import Room, joined
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
    room: Room,
    on_bad_photo: Callable[[BadPhotoError], None],
    watch: Callable[[Iterable[int], int], Iterable[int]],
) -> Chosen:
    """Choose photos; the choice depends on the selection, not on the run's seed or the shard.

    Held-out photos are the ones that follow the evaluated ones, taken by the same rules, unless
    they have a list of their own; without a bound, all photos but the last are evaluated. A shard
    gets every ``count``-th photo of both.

    Parameters
    ----------
    on_bad_photo
        Called with the error of each photo that cannot be read.
    watch
        Wraps an iterable of at most the given length, to show progress if it takes long.

    Raises
    ------
    UserError
        If a list of names cannot be read or does not fit the dataset, or if the dataset has too few
        photos left for ``held_out``, or none at all.
    """

    def take(order: list[int], wanted: int) -> list[int]:
        if not selection.correct_only:
            return order[:wanted]
        right = _correct(dataset, classifier, order, device, room, on_bad_photo)
        return list(watch(islice(right, wanted), wanted))

    queues = _queues(dataset, selection)
    evaluation, held_out = _split([take(*queue) for queue in queues], selection)
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
    queues = _queues(dataset, selection)
    if selection.correct_only:
        return [index for order, _ in queues for index in order]
    taken = _split([order[:wanted] for order, wanted in queues], selection)
    return [index for photos in taken for index in photos[_part(selection)]]


def _queues(dataset: Dataset, selection: config.Selection) -> list[tuple[list[int], int]]:
    """Return photos in the order in which they are looked at, and how many are wanted.

    Held-out photos with a list of their own are a second queue.
    """
    bounds = _bounds(selection)
    own = _listed(dataset, selection.held_out_names, "held_out_names")
    if own is None:
        order = _ordered(_evaluated(dataset, selection), selection)
        return [(order, min(bounds) + selection.held_out if bounds else len(order))]
    order = _ordered(_evaluated(dataset, selection, own), selection)
    held_out = _ordered(own, selection)
    return [
        (order, min(bounds, default=len(order))),
        (held_out, selection.held_out or len(held_out)),
    ]


def _ordered(photos: list[int], selection: config.Selection) -> list[int]:
    """Shuffle photos where a random sample of them is wanted."""
    if selection.sample is not None:
        random.Random(seeds.derive("selection", selection.seed)).shuffle(photos)  # noqa: S311, a sample
    return photos


def _evaluated(
    dataset: Dataset, selection: config.Selection, held_out: Sequence[int] = ()
) -> list[int]:
    """Return the photos that may be evaluated, in the dataset's order."""
    named = _listed(dataset, selection.names, "names")
    if named is None:
        return sorted(set(range(len(dataset))) - set(held_out))
    both = sorted({*named} & {*held_out})
    require(
        not both,
        f"selection.held_out_names={selection.held_out_names}: selection.names has "
        f"{abridged([dataset.ids[index] for index in both])}, too; no threshold may be chosen on "
        "evaluated photos",
    )
    return named


def _listed(dataset: Dataset, file: str | None, key: str) -> list[int] | None:
    """Return the photos that a file names, in the dataset's order; None: there is no file."""
    if file is None:
        return None
    key = f"selection.{key}={file}"
    try:
        text = content(expanded(file)).decode("utf-8-sig")
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not text in UTF-8"
        raise UserError(f"{key}: {reason}; it should be a photo's name a line") from error
    position = {name: index for index, name in enumerate(dataset.ids)}
    names = [line.strip() for line in text.splitlines() if line.strip()]
    unknown = [name for name in names if name not in position]
    require(len(names) > 0, f"{key}: there is no name in it; it should be a photo's name a line")
    require(
        not unknown,
        f"{key}: the dataset has no {abridged(unknown)}; its names are like {dataset.ids[0]}",
    )
    return sorted({position[name] for name in names})


def _bounds(selection: config.Selection) -> list[int]:
    return [bound for bound in (selection.limit, selection.sample) if bound is not None]


def _split(taken: Sequence[list[int]], selection: config.Selection) -> tuple[list[int], list[int]]:
    """Divide what was taken of the queues into evaluated and held-out photos."""
    if len(taken) == 2:
        return taken[0], taken[1]
    (chosen,) = taken
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
        len(held_out) > 0 or selection.held_out_names is None,
        f"selection.held_out_names={selection.held_out_names}: no photo is left{only}",
    )
    require(
        len(held_out) >= selection.held_out,
        f"selection.held_out={selection.held_out}: only {len(held_out)} photos{only} are left "
        "beside the evaluated ones; lower it, selection.limit or selection.sample",
    )


def _padded(classifier: Classifier, images: Tensor, room: Room, rows: slice) -> Tensor:
    """Score rows of a batch, padded to the size of the others."""
    return padded_logits(classifier, images[rows], room.size)


def _correct(
    dataset: Dataset,
    classifier: Classifier,
    order: list[int],
    device: torch.device,
    room: Room,
    on_bad_photo: Callable[[BadPhotoError], None],
) -> Iterator[int]:
    """Yield, batch by batch, the photos whose label is the classifier's first choice."""
    remaining = iter(order)
    while indices := list(islice(remaining, room.most)):
        loaded = []
        for index in indices:
            try:
                loaded.append((index, dataset.load(index, classifier.input_size)))
            except BadPhotoError as error:
                on_bad_photo(error)
        if not loaded:
            continue
        images = torch.stack([sample.image for _, sample in loaded]).to(device)
        logits = joined(room.each(len(images), partial(_padded, classifier, images, room)))
        choices = first_choices(classifier, logits).tolist()
        for (index, sample), choice in zip(loaded, choices, strict=True):
            if choice in [twin.label for twin in (sample, *sample.others)]:
                yield index
