"""One run: explain the photos, score the heatmaps, leave everything behind in order.

The only place that instantiates components and loops over photos.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from genattr import config, console, environment
from genattr.classifier import precision
from genattr.engine.choose import Engine
from genattr.errors import BadPhotoError, require
from genattr.method.mask import upsample
from genattr.probe import Probe
from genattr.results.examples import Remainder
from genattr.results.summary import Row, Summary
from genattr.run import cost, outputs, tasks
from genattr.run.checks import check_chosen, check_study
from genattr.run.selection import Chosen, select
from genattr.run.study import Journal, Study
from genattr.run.tasks import Task
from genattr.run.variants import compare_variants, variants
from genattr.store.heatmaps import HeatmapStore
from genattr.tracking.base import closing
from genattr.types import Classifier, Heatmap, Method

log = logging.getLogger(__name__)


def run(
    cfg: DictConfig,
    folder: Path,
    tags: Mapping[str, str] | None = None,
    numbers: Mapping[str, float] | None = None,
    choices: str = "",
    explain: Callable[[Study, Chosen, Journal], None] | None = None,
) -> Summary:
    """Run one experiment and record it.

    Parameters
    ----------
    cfg
        The composed configuration.
    folder
        Takes the run's files.
    tags
        Labels for the tracking store, such as the sweep that the run belongs to.
    numbers
        Further numbers for the record, such as the swept values.
    choices
        What is special about the run among others, for people: "seed 1".
    explain
        Fills the journal in another way than by explaining and scoring photo by photo.

    Raises
    ------
    UserError
        If the configuration is wrong or no photo can be explained.
    """
    study = assemble(cfg)
    study.tracking.prepare()
    journal = Journal()
    photos = choose(study, journal)
    note = {"mlflow.note.content": cfg.note} if cfg.note else {}
    record = study.tracking.start(
        study.title, study.params, {"kind": "run", **(tags or {}), **note}
    )
    with closing(record):
        (explain or _explain_all)(study, photos, journal)
        _explain_variants(study, photos, journal)
        told = {**(numbers or {}), **_bits(study, photos)}
        summary = outputs.summarize(study, journal, record.run_id, told, choices)
        files = outputs.write(study, journal, summary, folder)
        outputs.record(summary, folder, files, record)
    return summary


def check(cfg: DictConfig) -> tuple[Study, int]:
    """Check all that can be checked without opening a photo; UserError as ``run`` raises it.

    Returns
    -------
    The components, and the largest number of heatmaps that the run can need.
    """
    study = assemble(cfg)
    hopeful = cfg.copy()
    hopeful.selection.correct_only = False  # to know which photos are right takes opening them
    photos = choose(replace(study, cfg=hopeful), Journal())
    return study, tasks.count(study, photos)


def choose(study: Study, journal: Journal) -> Chosen:
    """Choose the run's photos; a bad one goes into the journal."""
    photos = select(
        study.dataset,
        study.classifier,
        study.cfg.selection,
        study.device,
        study.cfg.batch_size,
        partial(_skip, journal),
        console.watch_choosing,
    )
    check_chosen(study, [*photos.evaluation, *photos.held_out])
    return photos


def assemble(cfg: DictConfig) -> Study:
    """Build every component; UserError in one line names what is wrong or does not fit."""
    config.check(cfg)
    device = environment.prepare(cfg.device, cfg.threads, cfg.tune_allocator)
    text = OmegaConf.to_yaml(cfg.classifier, resolve=True)
    classifier = _classifier(text, cfg.precision, device)
    if cfg.batch_size == "auto":
        cfg = cfg.copy()
        cfg.batch_size = environment.fitting_batch(classifier, device)
    study = Study(
        cfg=cfg,
        dataset=config.build(cfg.dataset, "dataset"),
        classifier=classifier,
        filler=config.build(cfg.filler, "filler"),
        method=config.build(cfg.method, "method"),
        metrics={
            str(name): config.build(node, f"metric.{name}") for name, node in cfg.metric.items()
        },
        tracking=config.build(cfg.tracking, "tracking"),
        store=HeatmapStore(Path(cfg.store).expanduser()),
        engine=_engine(text, cfg.precision, cfg.engine, cfg.batch_size, device),
        device=device,
    )
    check_study(study)
    return study


def _bits(study: Study, photos: Chosen) -> dict[str, float]:
    """Tell how far fewer bits move the probabilities of the first photos; empty for fp32."""
    if not isinstance(study.classifier, precision.Reduced):
        return {}
    samples = []
    for index in photos.evaluation[: precision.COMPARED]:
        with suppress(BadPhotoError):
            samples.append(study.dataset.load(index, study.classifier.input_size).image)
    if not samples:
        return {}
    difference = study.classifier.difference(torch.stack(samples).to(study.device))
    console.say(
        f"Precision:     {study.cfg.precision} moves a probability by {difference:.1g} at most"
    )
    return {"precision/largest_difference": difference}


@lru_cache(maxsize=2)
def _classifier(text: str, bits: str, device: torch.device) -> Classifier:
    """Build a classifier from its configuration; the members of a sweep share it."""
    node = OmegaConf.create(text)
    assert isinstance(node, DictConfig)
    classifier: Classifier = config.build(node, "classifier")
    classifier.to(device)
    return precision.reduce(classifier, bits, device)


@lru_cache(maxsize=2)
def _engine(text: str, bits: str, mode: str, batch_size: int, device: torch.device) -> Engine:
    """Return the engine of a classifier, given as its configuration; kept like the classifier."""
    return Engine(mode, _classifier(text, bits, device), batch_size, device)


def _skip(journal: Journal, error: BadPhotoError) -> None:
    log.warning("skipped: %s", error)
    journal.failed.append(str(error))


def _explain_all(study: Study, photos: Chosen, journal: Journal) -> None:
    """Explain and score the photos; heatmaps go to the store, rows into the journal."""
    count = tasks.count(study, photos)
    cost.announce(study, count)
    with console.bar(study.title, count, study.cost) as bar:
        desk = Desk(study, journal, bar)
        for probe, heatmap in _explanations(study.method, desk.unknown(photos)):
            desk.take(probe, heatmap)
    require(len(journal.rows) > 0, f"none of {count} photos could be read")


class Desk:
    """Where tasks wait for their heatmaps, and are scored when these are there."""

    def __init__(self, study: Study, journal: Journal, bar: console.Bar) -> None:
        self._study, self._journal, self._bar = study, journal, bar
        self._waiting: dict[Probe, Task] = {}

    def unknown(self, photos: Chosen) -> Iterator[Probe]:
        """Yield what must be explained; what the store knows is scored on the way."""
        for task in tasks.tasks(self._study, photos, self._skip, self._scored):
            known = self._study.store.get(task.key)
            if known is not None:
                self._finish(task, known)
            else:
                self._waiting[task.probe] = task
                yield task.probe

    def take(self, probe: Probe, heatmap: Heatmap) -> None:
        """Keep a new heatmap and score it."""
        task = self._waiting.pop(probe)
        self._study.store.put(task.key, heatmap)
        self._finish(task, heatmap)

    def _finish(self, task: Task, heatmap: Heatmap) -> None:
        row = {"split": task.split} | _row(self._study, task.probe, heatmap)
        self._journal.add(task.place, task.key, row)
        if task.split == "evaluation":
            label = self._study.classifier.labels[heatmap.target]
            removed = remainder(self._study, task.probe, heatmap)
            sample = task.probe.sample
            self._journal.gallery.add(
                task.place, sample, heatmap.target, label, heatmap.score, removed
            )
        self._bar.finished(task.n_scored)

    def _skip(self, error: BadPhotoError) -> None:
        _skip(self._journal, error)
        self._bar.finished()

    def _scored(self, count: int) -> None:
        self._journal.n_scored += count
        self._bar.scored(count)


def _explain_variants(study: Study, photos: Chosen, journal: Journal) -> None:
    """Explain the evaluated photos under each value of ``sensitivity.over``, and compare."""
    explained = {row["image_id"] for row in journal.rows}
    readable = [index for index in photos.evaluation if study.dataset.ids[index] in explained]
    keys = {}
    for value, variant in variants(study).items():
        own = Journal()
        _explain_all(variant, Chosen(readable, []), own)
        keys[value] = own.keys
        journal.n_scored += own.n_scored
    journal.varied = keys
    journal.sensitivity = compare_variants(study, keys)


def _explanations(method: Method, probes: Iterator[Probe]) -> Iterator[tuple[Probe, Heatmap]]:
    """Explain photo by photo, or several together where the method can."""
    if hasattr(method, "explain_many"):
        yield from method.explain_many(probes)
        return
    for probe in probes:
        start = time.perf_counter()
        heatmap = method.explain(probe)
        yield probe, replace(heatmap, seconds=time.perf_counter() - start)


def remainder(study: Study, probe: Probe, heatmap: Heatmap) -> Remainder | None:
    """Return the photo without what the method removes in the end, if it is to be shown."""
    if not study.cfg.show_removed or not hasattr(study.method, "removed"):
        return None
    cells = study.method.removed(heatmap).float()
    hole = upsample(cells.to(probe.image.device), probe.size, "nearest").bool()
    image = probe.with_filler(study.filler).composite(hole)
    return Remainder(image[0].cpu(), float(probe.probabilities(image)[0]))


def _row(study: Study, probe: Probe, heatmap: Heatmap) -> Row:
    row: Row = {
        "image_id": heatmap.image_id,
        "target": heatmap.target,
        "label": probe.sample.label,
        "score": heatmap.score,
        "seconds": heatmap.seconds,
        "n_scored": heatmap.n_scored,
        "n_filled": heatmap.n_filled,
    }
    row |= {f"method/{key}": value for key, value in heatmap.details.items()}
    for name, metric in study.metrics.items():
        scores = metric.per_image(heatmap, probe)
        row |= {f"{name}/{key}": value for key, value in scores.items()}
    return row
