"""``genattr.score``: metrics of a heatmap, as a command computes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from genattr import types
from genattr.dataset.given import Given, Picture
from genattr.dataset.photo import Box, place_boxes
from genattr.errors import UserError, require
from genattr.library.components import arguments_of, lacks, made, origin, refuse, shown
from genattr.library.door import door
from genattr.library.explaining import with_targets
from genattr.library.heatmap import Heatmap
from genattr.library.pictures import boxes_of, pictures_of
from genattr.library.progress import Waiting, waiting
from genattr.library.studies import Choice, study_of
from genattr.metric.base import Metric
from genattr.protocols import Component
from genattr.run import worker
from genattr.run.checks import check_study
from genattr.run.study import Study
from genattr.run.tasks import Task, targets, task_of
from genattr.scoring import Counts

Scores = dict[str, Any]
INFINITE = (-float("inf"), float("inf"))


@door
def score(
    heatmap: Any,
    metric: Choice | Sequence[Choice] = "deletion",
    *,
    image: Any = None,
    model: Any = None,
    target: Any = None,
    boxes: Any = None,
    progress: bool = True,
    **keys: Any,
) -> Scores | list[Scores]:
    """Score a heatmap on the photo and by the model that it was made from.

    Parameters
    ----------
    heatmap
        Of ``explain``, or a list of them. Another's (h, w) map, an array or a tensor, needs
        ``image``, ``model`` and ``target``, as ``explain`` takes them.
    metric
        The name of an option of ``conf/metric``, a component, or a list of these.
    boxes
        Of the object, for metrics that need some: (4,) or (k, 4) corners x0, y0, x1, y1 in pixels
        of the upright image, half-open.
    progress
        Show a bar for what takes longer than a second.
    **keys
        The metric's parameters if it is one; with ``image``, settings as in ``explain``.

    Returns
    -------
    The scores by metric and name, as in a command's table: "deletion/auc", "deletion/curve". Where
    a metric is a number over many photos, such as an error rate, that of this photo is there, too.

    Raises
    ------
    UserError
        If an argument is wrong; it is a ValueError too.
    """
    are_several = isinstance(heatmap, list | tuple)
    maps = list(heatmap) if are_several else [heatmap]
    with waiting(len(maps), shown=progress) as bar:
        scores = []
        for one in maps:
            given = Map(one, image, model, target, boxes)
            scores.append(_scored(given, metric, keys, bar))
    return scores if are_several else scores[0]


@dataclass(frozen=True)
class Map:
    """A heatmap, and what it is of where it does not tell that itself."""

    heatmap: Any
    image: Any
    model: Any
    target: Any
    boxes: Any

    @property
    def made_by(self) -> Study | None:
        """The study that made it, unless another image or model is given."""
        is_alone = self.image is None and self.model is None
        return self.heatmap.study if isinstance(self.heatmap, Heatmap) and is_alone else None


def _scored(
    given: Map, metric: Choice | Sequence[Choice], keys: Mapping[str, Any], bar: Waiting
) -> Scores:
    names = arguments_of("metric", metric) if isinstance(metric, str) else []
    own = {key: value for key, value in keys.items() if given.made_by or key in names}
    metrics = metrics_of(metric, own)
    others = {key: value for key, value in keys.items() if key not in own}
    for name, part in metrics.items():
        require(
            given.made_by is not None or part.explanations == 0,
            f"metric={name}: it explains again, and so needs a heatmap of genattr.explain",
        )
    study, task = _own_task(given.heatmap) if given.made_by else _task(given, others)
    study, task = _with(study, task, metrics, given.boxes)
    progress = bar.begin(", ".join(metrics), study.cost)
    task.counts.on_scored = progress.scored
    row = worker.score(study, task, _plain(given.heatmap, task))
    progress.finished(task.counts.scored)
    scores = {key: value for key, value in row.items() if key.partition("/")[0] in metrics}
    return scores | _of_one(metrics, row)


def metrics_of(chosen: Choice | Sequence[Choice], keys: Mapping[str, Any]) -> dict[str, Metric]:
    """Return metrics by their names; UserError if there is no such one."""
    several = [chosen] if isinstance(chosen, str | Component) else list(chosen)
    require(len(several) > 0, "metric: there is none in the list")
    require(
        len(several) == 1 or not keys,
        f"{next(iter(keys), '')}: give arguments to one of several metrics by "
        'genattr.component("metric/...", ...)',
    )
    return dict(_metric(one, keys) for one in several)


def _metric(chosen: Any, keys: Mapping[str, Any]) -> tuple[str, Metric]:
    if isinstance(chosen, str):
        part = made(f"metric/{chosen}", keys)
        assert isinstance(part, Metric)
        return chosen, part
    if not isinstance(chosen, Metric):
        raise refuse(chosen, "metric", "metric")
    for key, value in keys.items():
        raise UserError(
            f"{key}={shown(value)}: {lacks('score with a metric made already', key, [])}"
        )
    made_from = origin(chosen)
    return made_from.option if made_from else chosen.option, chosen


def _own_task(heatmap: Heatmap) -> tuple[Study, Task]:
    """Return the study that made a map, and its task."""
    assert heatmap.study is not None
    assert heatmap.sample is not None
    return heatmap.study, _of(heatmap.study, heatmap.sample, heatmap.target)


def _task(given: Map, keys: Mapping[str, Any]) -> tuple[Study, Task]:
    """Assemble the study that a map is of, and return its task, too."""
    heatmap, target = given.heatmap, given.target
    require(given.image is not None or isinstance(heatmap, Heatmap), "image: give the map's image")
    require(given.model is not None, "model: give the model that the map is of")
    picture = only_picture(given.image) if given.image is not None else _own(heatmap)
    study = study_of([picture], given.model, "full", None, None, keys)
    if target is None and isinstance(heatmap, types.Heatmap):
        target = heatmap.target
    study = with_targets(study, target, False)
    sample = study.photos.load(0, study.classifier.input_size)
    return study, _of(study, sample, targets(study, sample)[0])


def only_picture(image: Any) -> Picture:
    """Return the one image of a map; UserError if there are several."""
    pictures, _ = pictures_of(image)
    require(len(pictures) == 1, f"image: {len(pictures)} images for one map")
    return pictures[0]


def _own(heatmap: Heatmap) -> Picture:
    assert heatmap.sample is not None
    return Picture(heatmap.image_id, heatmap.sample.image)


def _of(study: Study, sample: types.Sample, target: int) -> Task:
    return task_of(study, sample, target, (0, 0), "evaluation", Counts())


def _with(
    study: Study, task: Task, metrics: Mapping[str, Metric], boxes: Any
) -> tuple[Study, Task]:
    """Return study and task with metrics and boxes; UserError if they do not fit."""
    sample = task.probe.sample
    if boxes is not None:
        native = boxes_of(boxes)
        height, width = sample.native_size
        region = sample.region or (0, 0, width, height)
        placed = place_boxes(native, region, task.probe.size)
        require(placed is not None, f"boxes: none is in the image of {width} x {height} pixels")
        sample = replace(sample, boxes=placed)
        study = replace(study, dataset=_boxed(study, native))
    study = replace(study, metrics=metrics)
    check_study(study)
    return study, _of(study, sample, task.probe.target)


def _boxed(study: Study, boxes: list[Box]) -> Given:
    assert isinstance(study.dataset, Given)
    pictures = [replace(picture, boxes=boxes) for picture in study.dataset.pictures]
    return replace(study.dataset, pictures=pictures)


def _plain(heatmap: Any, task: Task) -> types.Heatmap:
    """Return a map as methods give it."""
    if isinstance(heatmap, types.Heatmap):
        return heatmap
    values = torch.as_tensor(heatmap).detach().cpu().float()
    shape = tuple(values.shape)
    require(len(shape) == 2 and 0 not in shape, f"heatmap: {shape} is not (h, w)")
    require(bool(values.isfinite().all()), "heatmap: there is NaN or infinity in it")
    return task.probe.heatmap(values, INFINITE)


def _of_one(metrics: Mapping[str, Metric], row: Mapping[str, Any]) -> Scores:
    """Return what metrics say of many photos, for one."""
    found: Scores = {}
    for name, metric in metrics.items():
        start = f"{name}/"
        own = {key.removeprefix(start): row[key] for key in row if key.startswith(start)}
        for key, value in metric.aggregate([own], []).items():
            if not isinstance(value, float):
                found[start + key] = None if np.isnan(value[0]) else float(value[0])
    return found
