"""The work that ``benchmarks.gpu`` measures: every option of conf/method and conf/metric, in sizes.

A size is a number of photos; below 1 it is a part of one photo's windows, samples or steps. Methods
with a gradient, which take several photos at a time, have their full number of photos in each size,
and a part of the steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from itertools import cycle, islice
from math import ceil, sqrt
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf

from benchmarks import deletion
from benchmarks.components import CONF, composed
from benchmarks.gauges import Work
from genattr.errors import UserError
from genattr.method.base import Method
from genattr.metric.base import Metric
from genattr.protocols import Classifier
from genattr.run import experiment, tasks, worker
from genattr.run.selection import Chosen
from genattr.run.study import Study
from genattr.scoring import Counts
from genattr.types import Heatmap

Part = TypeVar("Part", Method, Metric)
Array = NDArray[np.float32]
SMALLEST = 1 / 64  # and the size whose results are compared with the reference
PARTS = (SMALLEST, 1 / 16, 1 / 4, 1.0)
TINY = 1 / 256  # enough to see what batches there are
KEPT = 48  # cells along an axis, of a reference's map
BESIDE = {"sp-g": ("filler=mirror",)}  # options that are measured with a further filler as well
KNOBS: Mapping[str, Callable[[Any, float], float]] = {
    "stride": lambda part, share: ceil(part.stride / sqrt(share)),
    "n_samples": lambda part, share: max(ceil(part.n_samples * share), 2),
    "steps": lambda part, share: ceil(part.steps * share),
    "max_steps": lambda part, share: ceil(part.steps * share),
    "stop": lambda part, share: 0.0,  # MP2 takes all its steps, whatever the network says
}


def smaller(part: Part, share: float) -> Part:
    """Return a method or metric that does a share of its windows, samples or steps."""
    known = {entry.name for entry in fields(part)}  # type: ignore[arg-type]
    changes = {key: knob(part, share) for key, knob in KNOBS.items() if key in known}
    return replace(part, **changes)  # type: ignore[type-var]


@dataclass(frozen=True)
class Job(ABC):
    """What one row of the table measures.

    Attributes
    ----------
    studies
        Built as a run builds them, by their names; more than one are done one after the other.
    photos
        Most photos at a time.
    """

    studies: Mapping[str, Study]
    photos: int
    kind: ClassVar[str]

    @property
    def name(self) -> str:
        """Name of the row."""
        return ", ".join(self.studies)

    @property
    def first(self) -> Study:
        """One of the studies; all have the same classifier and batches."""
        return next(iter(self.studies.values()))

    @property
    def has_gradient(self) -> bool:
        """Whether the classifier is differentiated."""
        return False

    @property
    def sizes(self) -> Sequence[float]:
        """Sizes that the work comes in, from the smallest."""
        return [*PARTS, *(count for count in (4.0, 16.0, 64.0) if count <= self.photos)]

    def at(self, **changes: object) -> Job:
        """Return the same work under other top-level keys, such as ``precision``."""
        return replace(self, studies={k: again(s, changes) for k, s in self.studies.items()})

    def prepare(self, size: float) -> Work:
        """Make the work of a size ready."""
        photos, share = self.split(size)
        ready = [self.ready(study, photos, share) for study in self.studies.values()]
        return lambda: sum(work() for work in ready)

    def split(self, size: float) -> tuple[int, float]:
        """Return the photos of a size, and the share of each one's work."""
        return max(round(size), 1), min(size, 1.0)

    @abstractmethod
    def ready(self, study: Study, photos: int, share: float) -> Work:
        """Make the work of one study ready."""

    @abstractmethod
    def answer(self, study: Study) -> Array:
        """Return the numbers of a small, fixed part of the work, to be compared."""

    @property
    def answers(self) -> dict[str, Array]:
        """What each study finds for the first photo, in batches of a fixed size."""
        fixed = self.at(batch_size=16, engine="dense")
        return {f"{self.kind} {k}": self.answer(s) for k, s in fixed.studies.items()}


class MethodJob(Job):
    """Heatmaps of photos that are opened one after the other, as in a run."""

    kind: ClassVar[str] = "method"

    @property
    def has_gradient(self) -> bool:
        return self.first.method.needs_gradient

    @property
    def sizes(self) -> Sequence[float]:
        return PARTS if self.has_gradient else super().sizes

    def split(self, size: float) -> tuple[int, float]:
        return (self.photos, size) if self.has_gradient else super().split(size)

    def filling(self) -> tuple[MethodJob, int]:
        """Return the work with as many photos as fill a batch, and the rows of a batch."""
        with rows_with_gradient(self.first.classifier) as seen:
            explain(self.first, 1, TINY, Counts())
        rows = max(seen, key=seen.__getitem__, default=1)
        return replace(self, photos=min(rows, self.photos)), rows

    def ready(self, study: Study, photos: int, share: float) -> Work:
        def work() -> int:
            counts = Counts()
            explain(study, photos, share, counts)
            return counts.scored

        return work

    def answer(self, study: Study) -> Array:
        (heatmap,) = explain(study, 1, SMALLEST, Counts())
        step = -(-len(heatmap.values) // KEPT)
        return heatmap.values[::step, ::step].numpy().flatten()


class MetricJob(Job):
    """Scores of heatmaps that are there already."""

    kind: ClassVar[str] = "metric"

    def ready(self, study: Study, photos: int, share: float) -> Work:
        counts, score = Counts(), scoring(study, share)
        maps = [heatmap for _, heatmap in mapped(study, photos, Counts())]
        chosen = list(opened(study, photos, counts))

        def work() -> int:
            for task, heatmap in zip(chosen, maps, strict=True):
                score(task, heatmap)
            return counts.scored

        return work

    def answer(self, study: Study) -> Array:
        ((task, heatmap),) = mapped(study, 1, Counts())
        row = scoring(study, SMALLEST)(task, heatmap)
        (name,) = study.metrics
        found = [value for key, value in row.items() if key.startswith(f"{name}/")]
        numbers = [np.ravel(np.array(value, dtype=np.float32)) for value in found]
        return np.concatenate(numbers)


def explain(study: Study, photos: int, share: float, counts: Counts) -> list[Heatmap]:
    """Explain photos as a run does, without its store."""
    shrunk = replace(study, method=smaller(study.method, share))
    probes = (task.probe for task in opened(shrunk, photos, counts))
    return [heatmap for _, heatmap in shrunk.method.explain_many(probes)]


def scoring(study: Study, share: float) -> Callable[[tasks.Task, Heatmap], Mapping[str, Any]]:
    """Return what scores a heatmap as a run does."""
    metrics = {name: smaller(metric, share) for name, metric in study.metrics.items()}
    shrunk = replace(study, metrics=metrics)
    return lambda task, heatmap: worker.score(shrunk, task, heatmap)


def mapped(study: Study, photos: int, counts: Counts) -> Iterator[tuple[tasks.Task, Heatmap]]:
    """Open photos, each with a made-up heatmap."""
    for seed, task in enumerate(opened(study, photos, counts)):
        yield task, deletion.heatmap(task.probe, seed)


def opened(study: Study, photos: int, counts: Counts) -> Iterator[tasks.Task]:
    """Open the dataset's photos, over and over, until there are enough."""
    chosen = list(islice(cycle(range(len(study.dataset))), photos))
    return tasks.tasks(study, Chosen(chosen, []), stop, counts)


def stop(error: Exception) -> None:
    """Let no photo be skipped."""
    raise error


@contextmanager
def rows_with_gradient(classifier: Classifier) -> Iterator[Counter[int]]:
    """Count the batches with a gradient that the network gets, by their rows."""
    seen: Counter[int] = Counter()

    def note(_: object, inputs: tuple[Any, ...]) -> None:
        if inputs[0].requires_grad:
            seen[len(inputs[0])] += 1

    assert classifier.network is not None, f"{classifier.title} has no PyTorch network"
    handle = classifier.network.register_forward_pre_hook(note)
    try:
        yield seen
    finally:
        handle.remove()


def jobs(
    common: Sequence[str], photos: int, only: Sequence[str] | None = None
) -> tuple[list[Job], dict[str, str]]:
    """Build what there is to measure; say of the other options why they are left out.

    Parameters
    ----------
    common
        Overrides of every configuration.
    photos
        Most at a time.
    only
        Options that are wanted; None: all.
    """
    found: list[Job] = []
    left_out: dict[str, str] = {}
    alone: dict[str, Study] = {}  # score one image
    for group, kind in (("method", MethodJob), ("metric", MetricJob)):
        for name, overrides in options(group):
            if only is not None and name.partition(" ")[0] not in only:
                continue
            try:
                study = built(group, [*common, *overrides])
            except UserError as error:
                left_out[f"{group} {name}"] = str(error)
                continue
            if group == "method" and study.method.calls(study.classifier.input_size) == 1:
                alone[name] = study
            else:
                found.append(kind({name: study}, photos))
    return [*found, *([MethodJob(alone, photos)] if alone else [])], left_out


def options(group: str) -> Iterator[tuple[str, list[str]]]:
    """Yield a name and its overrides for every option of a group."""
    for path in sorted((CONF / group).glob("*.yaml")):
        name = path.stem
        if group == "metric":
            yield name, [f"metric=[{name}]"]
            continue
        yield name, [f"method={name}", "metric=[]"]
        for extra in BESIDE.get(name, ()):
            yield f"{name} {extra}", [f"method={name}", "metric=[]", extra]


def built(group: str, overrides: Sequence[str]) -> Study:
    """Assemble a run; UserError if it cannot be, or if it would download anything."""
    cfg = composed(*overrides)
    url = next(downloads(OmegaConf.to_container(cfg[group], resolve=True)), None)
    if url is not None:
        raise UserError(f"it would download {url}")
    return experiment.assemble(cfg)


def downloads(node: object) -> Iterator[str]:
    """Yield the addresses in a configuration."""
    if isinstance(node, dict):
        if "url" in node:
            yield node["url"]
        for value in node.values():
            yield from downloads(value)


def again(study: Study, changes: Mapping[str, object]) -> Study:
    """Assemble a study anew, under other top-level keys."""
    return experiment.assemble(OmegaConf.merge(study.cfg, OmegaConf.create(dict(changes))))  # type: ignore[arg-type]
