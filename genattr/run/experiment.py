"""One run: explain the photos, score the heatmaps, write and record the results.

The only place that builds components and loops over photos.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import lru_cache, partial
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from genattr import components, config, console, environment, imports, overrides
from genattr.classifier import precision
from genattr.classifier.trial import check_answers
from genattr.engine.choose import PLAIN, Engine
from genattr.errors import BadPhotoError, require
from genattr.method.base import Method
from genattr.metric.base import Metric
from genattr.probe import Probe
from genattr.protocols import Classifier, Dataset, Filler
from genattr.report.decision import decide
from genattr.results.examples import Seen
from genattr.results.summary import Row, Summary
from genattr.run import cost, parts, tasks
from genattr.run.checks import check_chosen, check_study
from genattr.run.findings import Findings
from genattr.run.pages import FOLDER, pages_of
from genattr.run.part import Explain
from genattr.run.selection import Chosen, select
from genattr.run.study import Built, Place, Same, Study
from genattr.run.tasks import Task
from genattr.run.variants import compare_variants, variants
from genattr.scoring import Counts
from genattr.store.heatmaps import HeatmapStore
from genattr.store.scores import score_key
from genattr.tracking import later
from genattr.tracking.base import Run, Tracking, closing
from genattr.tracking.later import Later
from genattr.types import Heatmap

log = logging.getLogger(__name__)


def run(cfg: DictConfig, folder: Path, place: Place | None = None) -> Summary:
    """Run one experiment and record it.

    Parameters
    ----------
    cfg
        The composed configuration.
    folder
        Where the run's files are written.
    place
        The run's place in a sweep; None: it is no member of one.

    Raises
    ------
    UserError
        If the configuration is wrong or no photo can be explained.
    """
    return conduct(assemble(cfg), folder, place or Place())


def conduct(study: Study, folder: Path, place: Place) -> Summary:
    """Run an experiment whose components are built, as ``run`` does."""
    return work(study, folder, place)()


def work(study: Study, folder: Path, place: Place) -> Callable[[], Summary]:
    """Explain and score, as ``run`` does.

    Returns
    -------
    What is left to do, in any thread: writes the run's files, draws, and closes its record.
    """
    study = replace(study, in_sweep=place.in_sweep)
    preparation = later.prepared(study.tracking)
    findings = Findings(pages=pages_of(study, folder, place.command))
    console.say(f"Classifier:    {study.classifier.title}: {study.classifier.reading}")
    if study.cfg.selection.correct_only:
        preparation.result()  # choosing is long, too
    imports.ahead("genattr.run.outputs")
    photos = choose(study, findings)
    with ExitStack() as stack:
        record = stack.enter_context(recording(study, place, preparation))
        with parts.spread(study, photos, assemble, explain_here) as explain:
            explain_and_score(study, photos, findings, record, explain)
            vary(study, photos, findings, explain)
        place = with_rounding(study, photos, place)
        still_open = stack.pop_all()

    def finish() -> Summary:
        with still_open:
            return conclude(study, findings, folder, record, place)

    return finish


def assemble(cfg: DictConfig, built: Built | None = None) -> Study:
    """Build every component; UserError in one line names what is wrong or does not fit.

    Parameters
    ----------
    built
        Components that are there already; the others are built as the configuration says.
    """
    return overrides.resolved(cfg, lambda: _assemble(cfg, built or Built()))


def _assemble(cfg: DictConfig, built: Built) -> Study:
    config.check(cfg)
    device = environment.prepare(cfg.device, cfg.threads, cfg.tune_allocator)
    devices = environment.resolve_devices(cfg.devices, device)
    source = Same(built.classifier) if built.classifier else _text(cfg.classifier)
    classifier = _classifier(source, cfg.precision, cfg.engine != PLAIN, device)
    if cfg.batch_size == "auto":
        cfg = cfg.copy()
        cfg.batch_size = environment.fitting_batch(classifier, device)
    study = Study(
        cfg=cfg,
        dataset=built.dataset or components.build(cfg.dataset, "dataset", Dataset),
        classifier=classifier,
        filler=built.filler or components.build(cfg.filler, "filler", Filler),
        method=built.method or components.build(cfg.method, "method", Method),
        metrics={
            str(name): components.build(node, f"metric.{name}", Metric)
            for name, node in cfg.metric.items()
        },
        tracking=components.build(cfg.tracking, "tracking", Tracking),
        store=built.store or HeatmapStore(Path(cfg.store).expanduser()),
        engine=_engine(source, cfg.precision, cfg.engine, cfg.batch_size, device),
        device=device,
        devices=devices,
    )
    check_study(study)
    return study


def choose(study: Study, findings: Findings) -> Chosen:
    """Choose the run's photos; unreadable ones are recorded in the findings."""
    photos = select(
        study.photos,
        study.classifier,
        study.cfg.selection,
        study.device,
        study.cfg.batch_size,
        partial(_skip, findings),
        console.watch_choosing,
    )
    check_chosen(study, [*photos.evaluation, *photos.held_out])
    return photos


def check(cfg: DictConfig) -> tuple[Study, int]:
    """Check all that can be checked without opening a photo; UserError as ``run`` raises it.

    Returns
    -------
    The components, and the largest number of heatmaps that the run can need.
    """
    study = assemble(cfg)
    hopeful = cfg.copy()
    hopeful.selection.correct_only = False  # needs opened photos
    photos = choose(replace(study, cfg=hopeful), Findings())
    return study, tasks.count(study, photos)


@contextmanager
def recording(study: Study, place: Place, preparation: Future[None]) -> Iterator[Run]:
    """Open the run's record as soon as its store is prepared, and close it also after errors."""
    note = {"mlflow.note.content": study.cfg.note} if study.cfg.note else {}
    tags = {"kind": "run", **place.tags, **note}
    start = partial(study.tracking.start, place.in_sweep or study.title, study.params, tags)
    with closing(Later(preparation, start)) as record:
        yield record


def explain_here(
    study: Study, photos: Chosen, findings: Findings, progress: console.Progress
) -> None:
    """Explain and score photos in this process."""
    findings.counts.on_scored = progress.scored
    Worker(study, findings, progress).explain(photos)


class Confirmed(console.Progress):
    """Progress that ends the work where the run's record could not be opened."""

    def __init__(self, progress: console.Progress, record: Run) -> None:
        self._progress, self._record = progress, record

    def scored(self, count: int) -> None:
        self._record.confirm()
        self._progress.scored(count)

    def finished(self, scored: int = 0) -> None:
        self._progress.finished(scored)

    def skipped(self, heatmaps: int) -> None:
        self._progress.skipped(heatmaps)


def explain_and_score(
    study: Study, photos: Chosen, findings: Findings, record: Run, explain: Explain = explain_here
) -> None:
    """Explain and score the photos; heatmaps go to the store, rows into the findings.

    Parameters
    ----------
    record
        The run; the error of one that could not be opened ends the work.
    explain
        Does the work, in this process or in several.
    """
    count = tasks.count(study, photos)
    seconds = cost.announce(study, photos)
    with console.bar(study.name, count, study.cost) as bar:
        watched = cost.Corrected(bar, count, seconds)
        explain(study, photos, findings, Confirmed(watched, record))
    require(len(findings.rows) > 0, f"none of {count} photos could be read")


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
        for probe, heatmap in self._study.method.explain_many(self._unexplained(photos)):
            self._keep(probe, heatmap)

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

    def __init__(self, study: Study, findings: Findings, bar: console.Progress) -> None:
        super().__init__(study, findings.counts)
        self._findings, self._bar = findings, bar

    def finish(self, task: Task, heatmap: Heatmap) -> None:
        self._findings.add(task.place, task.key, score(self._study, task, heatmap))
        keep_example(self._study, self._findings, task, heatmap)
        keep_page(self._study, self._findings, task, heatmap)
        self._bar.finished(task.counts.scored)

    def skip(self, error: BadPhotoError, heatmaps: int) -> None:
        _skip(self._findings, error)
        self._bar.skipped(heatmaps)


def _skip(findings: Findings, error: BadPhotoError) -> None:
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


def vary(study: Study, photos: Chosen, findings: Findings, explain: Explain = explain_here) -> None:
    """Explain the evaluated photos under each value of ``sensitivity.over``, and compare."""
    explained = {row["image_id"] for row in findings.rows}
    readable = [index for index in photos.evaluation if study.dataset.ids[index] in explained]
    keys = {}
    for value, variant in variants(study).items():
        variant_findings = Findings()
        explain_and_score(variant, Chosen(readable, []), variant_findings, Run(), explain)
        keys[value] = variant_findings.keys
        findings.counts.scored += variant_findings.counts.scored
    findings.varied = keys
    findings.sensitivity = compare_variants(study, keys)


def conclude(study: Study, findings: Findings, folder: Path, record: Run, place: Place) -> Summary:
    """Summarize the findings, write the run's files and record them."""
    from genattr.run import outputs

    summary = outputs.summarize(study, findings, record.run_id, place)
    files = outputs.write(study, findings, summary, folder)
    outputs.record(summary, folder, files, record, place.command)
    if findings.pages.close(study.title) is not None:
        record.folder(folder / FOLDER)
    return summary


def with_rounding(study: Study, photos: Chosen, place: Place) -> Place:
    """Add to a run's numbers what fewer bits do to the classifier."""
    return replace(place, numbers={**place.numbers, **_rounding(study, photos)})


def _rounding(study: Study, photos: Chosen) -> dict[str, float]:
    """Measure how far fewer bits move the probabilities of the first photos; empty for fp32."""
    if not isinstance(study.classifier, precision.Reduced):
        return {}
    samples = []
    for index in photos.evaluation[: precision.COMPARED]:
        with suppress(BadPhotoError):
            samples.append(study.photos.load(index, study.classifier.input_size).image)
    if not samples:
        return {}
    difference = study.classifier.difference(torch.stack(samples).to(study.device))
    console.say(
        f"Precision:     {study.cfg.precision} moves a probability by {difference:.1g} at most"
    )
    return {"precision/largest_difference": difference}


def _text(node: DictConfig) -> str:
    return OmegaConf.to_yaml(node, resolve=True)


@lru_cache(maxsize=2)
def _classifier(
    source: str | Same[Classifier], bits: str, fuses: bool, device: torch.device
) -> Classifier:
    """Make a classifier ready, given itself or as YAML; the members of a sweep share it."""
    classifier = source.part if isinstance(source, Same) else _from_text(source)
    classifier.to(device)
    reduced = precision.reduce(classifier, bits, device)
    check_answers(reduced, device)
    if fuses:
        reduced.fuse()
    return reduced


def _from_text(text: str) -> Classifier:
    node = OmegaConf.create(text)
    assert isinstance(node, DictConfig)
    return components.build(node, "classifier", Classifier)


@lru_cache(maxsize=2)
def _engine(
    source: str | Same[Classifier], bits: str, mode: str, batch_size: int, device: torch.device
) -> Engine:
    """Return the engine of a classifier, given and kept like the classifier."""
    return Engine(mode, _classifier(source, bits, mode != PLAIN, device), batch_size, device)
