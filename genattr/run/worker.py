"""The work on a run's photos: what the store lacks is explained, every heatmap is scored."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

from torch import Tensor

from genattr.console import Progress
from genattr.errors import BadPhotoError, require
from genattr.ops.foreign import about, staying
from genattr.probe import Probe
from genattr.report.decision import decide
from genattr.results.examples import Seen
from genattr.results.summary import Row
from genattr.run import tasks
from genattr.run.findings import Findings
from genattr.run.selection import Chosen
from genattr.run.study import Study
from genattr.run.tasks import Task
from genattr.scoring import Counts
from genattr.store.scores import score_key
from genattr.types import Heatmap

log = logging.getLogger(__name__)


class Explainer:
    """Explains photos whose heatmaps the store lacks; a subclass says what follows.

    Parameters
    ----------
    counts
        Counts the images that are scored.
    """

    def __init__(self, study: Study, counts: Counts) -> None:
        self._study, self._counts = study, counts
        self._waiting: dict[Probe, Task] = {}

    def finish(self, task: Task, heatmap: Heatmap) -> None:
        """Take a heatmap, as it was made or in the store."""
        raise NotImplementedError

    def skip(self, error: BadPhotoError, heatmaps: int) -> None:
        """Take the error of a photo that cannot be read, and the number of its heatmaps."""
        raise NotImplementedError

    def explain(self, photos: Chosen) -> None:
        """Explain photos."""
        with about(self._names), staying("a classifier or filler ends the program"):
            for probe, heatmap in self._study.method.explain_many(self._unexplained(photos)):
                self._keep(probe, heatmap)

    def _names(self) -> list[str]:
        """Name the photos that are worked on."""
        return [probe.sample.image_id for probe in self._waiting]

    def _unexplained(self, photos: Chosen) -> Iterator[Probe]:
        """Yield the probes without a stored heatmap; stored heatmaps are finished at once."""
        for task in tasks.tasks(self._study, photos, self.skip, self._counts):
            heatmap = self._study.store.get(task.key)
            if heatmap is not None:
                self.finish(task, heatmap)
            else:
                self._waiting[task.probe] = task
                yield task.probe

    def _keep(self, probe: Probe, heatmap: Heatmap) -> None:
        """Store a new heatmap and finish it."""
        task = self._waiting.pop(probe)
        require(
            bool(heatmap.values.isfinite().all()) and isfinite(heatmap.score),
            f"method {self._study.method.title} gives NaN or infinity for {heatmap.image_id}: such "
            "a heatmap is neither kept nor scored",
        )
        self._study.store.put(task.key, heatmap)
        self.finish(task, heatmap)


class Worker(Explainer):
    """Scores every heatmap as it comes."""

    def __init__(self, study: Study, findings: Findings, bar: Progress) -> None:
        super().__init__(study, findings.counts)
        self._findings, self._bar = findings, bar

    def finish(self, task: Task, heatmap: Heatmap) -> None:
        self._findings.add(task.place, task.key, score(self._study, task, heatmap))
        keep_example(self._study, self._findings, task, heatmap)
        keep_page(self._study, self._findings, task, heatmap)
        self._bar.finished(task.counts.scored)

    def skip(self, error: BadPhotoError, heatmaps: int) -> None:
        skip(self._findings, error)
        self._bar.skipped(heatmaps)


def skip(findings: Findings, error: BadPhotoError) -> None:
    """Take note of a photo that cannot be read, and say so."""
    log.warning("skipped: %s", error)
    findings.skip(error)


def score(study: Study, task: Task, heatmap: Heatmap) -> Row:
    """Score a heatmap: a row of the per-image table.

    On held-out photos only those metrics run that choose something on them.
    """
    row: Row = {
        "split": task.split,
        "image_id": heatmap.image_id,
        "target": heatmap.target,
        "label": task.probe.sample.label,
        "score": heatmap.score,
        "seconds": heatmap.seconds,
        "n_scored": heatmap.n_scored,
        "n_filled": heatmap.n_filled,
    }
    row |= {f"method/{key}": value for key, value in heatmap.details.items()}
    for name, scores in _scores(study, task, heatmap).items():
        row |= {f"{name}/{key}": value for key, value in scores.items()}
    return row


def _scores(study: Study, task: Task, heatmap: Heatmap) -> dict[str, Mapping[str, Any]]:
    """Return a heatmap's scores by metric; those that the store lacks are computed, and kept."""
    kept, new, found = study.scores.get(task.key), {}, {}
    for name, metric in study.metrics.items():
        if task.split == "evaluation" or metric.uses_held_out:
            sample, classes = task.probe.sample, study.classifier.labels
            key = score_key(task.key, heatmap, metric, sample, classes)
            if key in kept:
                found[name] = kept[key]
                continue
            found[name] = metric.scores(heatmap, task.probe, study.method)
            if key is not None:
                new[key] = found[name]
    if new:
        study.scores.put(task.key, new)
    return found


def keep_example(study: Study, findings: Findings, task: Task, heatmap: Heatmap) -> None:
    """Keep an evaluated photo for the pictures, if it is among the first."""
    cfg = study.cfg
    if task.split == "evaluation" and findings.examples.wants(task.place):
        label = study.classifier.labels[heatmap.target]
        removed = study.method.removed(heatmap, task.probe.size) if cfg.show_removed else None
        sample = study.method.sample_hole(heatmap, task.probe) if cfg.show_samples else None
        findings.examples.add(
            task.place,
            task.probe.sample,
            heatmap.target,
            label,
            heatmap.score,
            see(study, task.probe, removed),
            see(study, task.probe, sample),
            explained(heatmap, study.cfg.explain),
        )


def keep_page(study: Study, findings: Findings, task: Task, heatmap: Heatmap) -> None:
    """Make the page about an evaluated photo, if the run is to have pages."""
    if study.cfg.report and task.split == "evaluation" and not study.variant:
        decision = decide(task.probe, heatmap, study.method, study.filler)
        findings.pages.add(task.place, decision)


def explained(heatmap: Heatmap, explain: str) -> str:
    """Tell the explained quantity if it is not the probability: "logit = 4.20"."""
    if explain == "probability":
        return ""
    return f"{explain.replace('_', ' ')} = {heatmap.details['explained']:.2f}"


def see(study: Study, probe: Probe, hole: Tensor | None) -> Seen | None:
    """Remove a hole as the run does, and ask the classifier; None where there is no hole."""
    if hole is None:
        return None
    image = probe.with_filler(study.filler).composite(hole.to(probe.image.device))
    return Seen(image[0].cpu(), float(probe.probabilities(image)[0]))
