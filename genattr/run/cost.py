"""Estimate of a run's cost, measured on a few of its images and printed before it starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from genattr import console, seeds
from genattr.classifier.trial import trial_images
from genattr.components import values_of
from genattr.console import Progress
from genattr.errors import BadPhotoError, UserError
from genattr.metric.base import Metric
from genattr.probe import Probe
from genattr.run import tasks
from genattr.run.selection import Chosen
from genattr.run.study import Study
from genattr.run.variants import variants
from genattr.scoring import Counts, answers
from genattr.types import Sample

MIN_ANNOUNCED = 2000  # images scored
MADE_UP = "made up"  # name of the photo that is timed
ROWS = 8  # of a batch that is timed on a CPU
ENOUGH = 0.1  # seconds that are timed, after a first batch
BUDGET = 15.0  # seconds for timing the members of a sweep; later ones are taken to be alike
FAR_OFF = 1.5  # times the estimate, or its inverse: then a line corrects it


@dataclass(frozen=True)
class Pace:
    """How long a run's images take.

    Attributes
    ----------
    row
        Seconds of an image that goes through the network for the method, its fill included.
    scoring
        Seconds of all metrics for one heatmap.
    """

    row: float
    scoring: float

    def seconds(self, study: Study, explained: int, scored: int) -> float:
        """Return the seconds of so many heatmaps, and of the metrics of so many."""
        rows = study.method.rows(study.classifier.input_size, study.share(explained))
        return rows * self.row + study.share(scored) * self.scoring


def announce(study: Study, photos: Chosen) -> float | None:
    """Print how many images a run scores at most and about how long that takes, if it is long.

    Nothing is said where the first heatmap is in the store, since others may be too.

    Returns
    -------
    The seconds; None if nothing was said.
    """
    heatmaps = tasks.count(study, photos)
    if study.rows(heatmaps) < MIN_ANNOUNCED or _has_begun(study, photos):
        return None
    seconds = pace(study).seconds(study, heatmaps, heatmaps)
    console.say(
        f"{study.name}: up to {study.cost:,} images a heatmap, {heatmaps:,} heatmaps: "
        f"about {human(seconds)}"
    )
    return seconds


def _has_begun(study: Study, photos: Chosen) -> bool:
    """Whether the store has the heatmap of the first photo that can be read."""
    first = Chosen(photos.evaluation[:1], [])
    keys = (task.key for task in tasks.tasks(study, first, lambda *_: None, Counts()))
    return any(key in study.store for key in keys)


class Corrected(Progress):
    """Progress that says once if a run takes far longer than announced, or shorter."""

    def __init__(self, progress: Progress, heatmaps: int, announced: float | None) -> None:
        self._progress, self._left, self._announced = progress, heatmaps, announced
        self._made, self._start = 0, time.perf_counter()
        self._needed = max(3, heatmaps // 10)

    def scored(self, count: int) -> None:
        self._progress.scored(count)

    def finished(self, scored: int = 0) -> None:
        self._left -= 1
        self._made += scored > 0
        if self._announced is not None and self._made == self._needed:
            self._correct(self._announced)
        self._progress.finished(scored)

    def skipped(self, heatmaps: int) -> None:
        self._left -= heatmaps
        self._progress.skipped(heatmaps)

    def _correct(self, announced: float) -> None:
        taken = time.perf_counter() - self._start
        left = taken / self._made * self._left
        off = (taken + left) / max(announced, 1e-9)
        if left > 60 and not 1 / FAR_OFF < off < FAR_OFF:
            console.say(f"It takes about {human(taken + left)}: {human(left)} are left")


class Ledger:
    """What several totals have in common: how long components take, and what is counted already."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._timed = 0.0
        self._counted: dict[str, NDArray[np.bool_]] = {}

    def pace(self, study: Study) -> Pace:
        """Time a run's method and each of its metrics, unless that was done for another run."""
        size, cfg = study.classifier.input_size, study.cfg
        alike = f"{cfg.classifier} {cfg.filler} {cfg.precision} {cfg.engine}"
        method = f"{alike} {study.method.option}"
        rate = self._once(method, values_of(cfg.method), lambda: _rate(study))
        has_ties = study.method.cell_holes(size) is None  # as maps of segments have
        scoring = 0.0
        for name, metric in study.metrics.items():
            if metric.explanations:
                scoring += rate * study.calls(metric)
            else:
                of_metric = f"{alike} {has_ties} {name}"
                measure = partial(_seconds_of_metric, study, metric, has_ties)
                scoring += self._once(of_metric, values_of(cfg.metric[name]), measure)
        return Pace(rate * study.explaining / max(study.method.rows(size, 1), 1), scoring)

    def _once(self, alike: str, values: object, measure: Callable[[], float]) -> float:
        """Measure once for the same values, or for what is alike if timing took long."""
        same = f"{alike} {values}"
        if same not in self._seconds and (self._timed < BUDGET or alike not in self._seconds):
            start = time.perf_counter()
            with seeds.fixed(0):
                self._seconds[same] = self._seconds[alike] = measure()
            self._timed += time.perf_counter() - start
        return self._seconds.get(same, self._seconds[alike])

    def uncounted(self, study: Study, photos: Sequence[int]) -> list[int]:
        """Return the photos whose heatmaps nobody has asked for so far; they count from now on."""
        counted = self._counted.setdefault(_of_heatmaps(study), np.zeros(len(study.dataset), bool))
        new = [photo for photo in photos if not counted[photo]]
        counted[new] = True
        return new


def _of_heatmaps(study: Study) -> str:
    """Describe all that determines a run's heatmaps but the photos."""
    cfg = study.cfg
    parts = [values_of(cfg[key]) for key in ("dataset", "classifier", "filler", "method")]
    return f"{parts} {cfg.precision} {cfg.target} {cfg.explain} {cfg.seed}"


class Total:
    """Total cost of the members of a sweep, as upper bounds.

    Attributes
    ----------
    heatmaps
        Those that no other member needs, too.
    images
        Scored, by the classifier.
    filled
        Those of them that an inpainter fills.
    differentiated
        Those of them that the classifier is differentiated for, which about triples their cost.
    seconds
        One member after the other.
    photos
        Their ids.
    """

    def __init__(self, ledger: Ledger | None = None) -> None:
        self.heatmaps, self.images, self.filled, self.differentiated = 0, 0, 0, 0
        self.seconds = 0.0
        self.photos: set[str] = set()
        self._ledger = ledger or Ledger()

    def add(self, study: Study, photos: Chosen) -> None:
        """Add a member; components are timed once, and a heatmap of several members counts once."""
        self._add(study, [*photos.evaluation, *photos.held_out])
        for variant in variants(study).values():
            self._add(variant, photos.evaluation)

    def _add(self, study: Study, photos: Sequence[int]) -> None:
        new = tasks.count_of(study, self._ledger.uncounted(study, photos))
        scored = tasks.count_of(study, photos)
        images = new * study.explaining
        self.photos.update(study.dataset.ids[photo] for photo in photos)
        self.heatmaps += new
        self.images += images + scored * study.scoring
        self.filled += images * study.filler.inpaints + scored * study.filled_for_scores
        self.differentiated += images * study.method.needs_gradient
        self.seconds += self._ledger.pace(study).seconds(study, new, scored)

    def join(self, other: Total) -> None:
        """Add another total."""
        self.photos |= other.photos
        self.heatmaps += other.heatmaps
        self.images += other.images
        self.filled += other.filled
        self.differentiated += other.differentiated
        self.seconds += other.seconds

    def announce(self, members: int) -> None:
        """Print the total; members that finished before are not counted."""
        console.say(
            f"Sweep of {members} members: up to {self.heatmaps:,} heatmaps and {self.images:,} "
            f"images scored: about {human(self.seconds)} one after the other; what the store has "
            "costs nothing"
        )


def pace(study: Study) -> Pace:
    """Explain a made-up photo for a moment, and score a made-up map by each metric.

    A metric that explains again takes as long as its explanations do.
    """
    return Ledger().pace(study)


def _rate(study: Study) -> float:
    """Return the seconds of an image that the method asks for, its fill included."""
    return _watched(study, study.method.explain).rate


def _seconds_of_metric(study: Study, metric: Metric, has_ties: bool) -> float:
    def work(probe: Probe) -> object:
        values = torch.rand(8, 8, generator=torch.Generator().manual_seed(0))
        return metric.per_image(probe.heatmap(values, (0.0, 1.0)), probe.of_probability())

    size = study.classifier.input_size
    watch = _watched(study, work)
    images = metric.calls(size) if has_ties else metric.usual_calls(size)
    return watch.elapsed if watch.has_ended else watch.rate * images


def _watched(study: Study, work: Callable[[Probe], object]) -> _Watch:
    """Time work on a made-up photo, for a moment."""
    watch = _Watch(study.device)
    probe = _probe(study, watch)
    with suppress(_Enough):
        try:
            work(probe)
            watch.end()
        except (UserError, BadPhotoError):  # what a made-up photo lacks, such as a mask
            watch.restart()
            probe.probabilities(probe.image.expand(3 * ROWS, -1, -1, -1))
    return watch


def _probe(study: Study, watch: _Watch) -> Probe:
    """Return a probe of a made-up photo, whose counts are nobody's."""
    size, classifier = study.classifier.input_size, study.classifier
    box = torch.tensor([[size / 4, size / 4, size / 2, size / 2]])
    image = trial_images(size)[1]
    with torch.no_grad():
        target = int(answers(classifier, image[None].to(study.device)).argmax())
    rows = study.cfg.batch_size
    engine = study.engine
    if study.device.type == "cpu":
        rows = min(rows, ROWS)
        if study.method.cell_holes(size) is not None:
            engine = engine.smaller(rows)
    probe = Probe(
        Sample(image, target, MADE_UP, box, (size, size)),
        target,
        classifier,
        study.filler,
        seed=study.cfg.seed,
        room=study.room.of("batch_size", rows),
        device=study.device,
        on_scored=watch.scored,
        engine=engine,
        explain=study.cfg.explain,
    )
    _ = probe.original  # it warms up
    watch.restart()
    return probe


class _Enough(Exception):  # noqa: N818, no error
    """Enough images have been timed."""


class _Watch:
    """Times images as they are scored, and ends the work when it has seen enough.

    Attributes
    ----------
    has_ended
        The work came to its end, in ``elapsed`` seconds.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.restart()

    def restart(self) -> None:
        """Forget what was timed."""
        self._ticks: list[tuple[float, int]] = []
        self._start, self.elapsed, self.has_ended = self._now(), 0.0, False

    def end(self) -> None:
        """Take note that the work has ended."""
        self.elapsed, self.has_ended = self._now() - self._start, True

    def scored(self, count: int) -> None:
        """Take note of a batch.

        Raises
        ------
        _Enough
            If there have been enough.
        """
        self._ticks.append((self._now(), count))
        if self._ticks[-1][0] - self._ticks[0][0] > ENOUGH:
            raise _Enough

    @property
    def rate(self) -> float:
        """Seconds an image, without the first batch, which may have to warm up."""
        if len(self._ticks) < 2:
            return (self._now() - self._start) / max(sum(count for _, count in self._ticks), 1)
        taken = self._ticks[-1][0] - self._ticks[0][0]
        return taken / max(sum(count for _, count in self._ticks[1:]), 1)

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()


def human(seconds: float) -> str:
    """Format a duration with about two digits: "40 s", "12 min", "3.5 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
