"""The heatmaps that a run has to make, one task each, in the photos' order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from genattr.errors import BadPhotoError
from genattr.probe import Probe
from genattr.run.selection import Chosen
from genattr.run.study import Study
from genattr.scoring import Counts, answers
from genattr.store.heatmaps import heatmap_key
from genattr.types import Sample


@dataclass
class Task:
    """One heatmap to make and score.

    Attributes
    ----------
    place
        Position of the photo among those of the run, and of the target among the photo's.
    split
        ``evaluation`` or ``held_out``.
    probe
        The photo and the target.
    key
        The heatmap's key in the store.
    counts
        Images scored for it so far, metrics included.
    """

    place: tuple[int, int]
    split: str
    probe: Probe
    key: str
    counts: Counts


def count(study: Study, photos: Chosen) -> int:
    """Bound the number of tasks."""
    return count_of(study, [*photos.evaluation, *photos.held_out])


def count_of(study: Study, photos: Sequence[int]) -> int:
    """Bound the number of tasks of photos, given by their positions in the dataset."""
    if study.target.is_label:
        labels = study.photos.label_sets
        return sum(len(labels[index]) for index in photos)
    return len(photos) * (study.target.top or len(study.target.classes))


def tasks(
    study: Study,
    photos: Chosen,
    on_bad: Callable[[BadPhotoError, int], None],
    counts: Counts,
) -> Iterator[Task]:
    """Open the photos one by one and yield a task for each target.

    Parameters
    ----------
    on_bad
        Called for each photo that cannot be read, or whose mask cannot, with the error and the
        number of its tasks.
    counts
        Counts the images that all tasks score.
    """
    for position, index, split in photos.placed:
        try:
            sample = study.photos.load(index, study.classifier.input_size)
            made = [
                task_of(study, sample.of_class(target), target, (position, rank), split, counts)
                for rank, target in enumerate(targets(study, sample))
            ]
        except BadPhotoError as error:
            on_bad(error, count_of(study, [index]))
            continue
        yield from made


def task_of(
    study: Study,
    sample: Sample,
    target: int,
    place: tuple[int, int],
    split: str,
    counts: Counts,
) -> Task:
    """Return the task of one target of an opened photo."""
    of_task = Counts(counts.add_scored)
    probe = Probe(
        sample,
        target,
        study.classifier,
        study.filler,
        seed=study.cfg.seed,
        room=study.room,
        device=study.device,
        on_scored=of_task.add_scored,
        engine=study.engine,
        explain=study.cfg.explain,
    )
    key = heatmap_key(
        sample,
        target,
        study.classifier,
        study.filler,
        study.method,
        study.cfg.seed,
        study.cfg.explain,
    )
    return Task(place, split, probe, key, of_task)


def targets(study: Study, sample: Sample) -> Sequence[int]:
    """Return the classes to explain: given ones, the photo's labels, or the first choices."""
    if study.target.classes:
        return study.target_classes
    if study.target.is_label:
        assert sample.label is not None, "check_chosen lets no photo pass without a label"
        return [twin.label for twin in (sample, *sample.others) if twin.label is not None]
    image = sample.image[None].to(study.device)
    with torch.no_grad():
        logits = answers(study.classifier, image)
    best = logits[0].topk(min(study.target.top, len(study.classifier.labels)))
    return [int(index) for index in best.indices]
