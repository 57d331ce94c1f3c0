"""One run: explain the photos, score the heatmaps, leave everything behind in order.

The only place that instantiates components and loops over photos.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from torch.nn import functional

from genattr import config, console, machine, outputs
from genattr.checks import check_chosen, check_study
from genattr.engine.choose import Engine
from genattr.errors import BadPhotoError, require
from genattr.probe import Probe
from genattr.results import Row, Summary
from genattr.selection import Chosen, select
from genattr.store import HeatmapStore, heatmap_key
from genattr.study import Journal, Study
from genattr.tracking import closing
from genattr.types import Classifier, Heatmap, Sample

log = logging.getLogger(__name__)


def run(
    cfg: DictConfig,
    folder: Path,
    tags: Mapping[str, str] | None = None,
    numbers: Mapping[str, float] | None = None,
    choices: str = "",
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

    Raises
    ------
    UserError
        If the configuration is wrong or no photo can be explained.
    """
    study = assemble(cfg)
    study.tracking.prepare()
    journal = Journal()
    photos = _choose(study, journal)
    note = {"mlflow.note.content": cfg.note} if cfg.note else {}
    record = study.tracking.start(
        study.title, study.params, {"kind": "run", **(tags or {}), **note}
    )
    with closing(record):
        _explain_all(study, photos, journal)
        summary = outputs.summarize(study, journal, record.run_id, numbers or {}, choices)
        files = outputs.write(study, journal, summary, folder)
        outputs.record(summary, folder, files, record)
    return summary


def check(cfg: DictConfig) -> None:
    """Check all that can be checked without opening a photo; UserError as ``run`` raises it."""
    study = assemble(cfg)
    hopeful = cfg.copy()
    hopeful.selection.correct_only = False  # to know which photos are right takes opening them
    _choose(replace(study, cfg=hopeful), Journal())


def _choose(study: Study, journal: Journal) -> Chosen:
    """Choose the photos; a bad one goes into the journal."""
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
    device = machine.prepare(cfg.device, cfg.threads, cfg.tune_allocator)
    text = OmegaConf.to_yaml(cfg.classifier, resolve=True)
    study = Study(
        cfg=cfg,
        dataset=config.build(cfg.dataset, "dataset"),
        classifier=_classifier(text),
        filler=config.build(cfg.filler, "filler"),
        method=config.build(cfg.method, "method"),
        metrics={
            str(name): config.build(node, f"metric.{name}") for name, node in cfg.metric.items()
        },
        tracking=config.build(cfg.tracking, "tracking"),
        store=HeatmapStore(Path(cfg.store).expanduser()),
        engine=_engine(text, cfg.engine, cfg.batch_size, device),
        device=device,
    )
    study.classifier.to(device)
    check_study(study)
    return study


@lru_cache(maxsize=2)
def _classifier(text: str) -> Classifier:
    """Build a classifier from its configuration; the members of a sweep share it."""
    node = OmegaConf.create(text)
    assert isinstance(node, DictConfig)
    classifier: Classifier = config.build(node, "classifier")
    return classifier


@lru_cache(maxsize=2)
def _engine(text: str, mode: str, batch_size: int, device: torch.device) -> Engine:
    """Return the engine of a classifier, given as its configuration; kept like the classifier."""
    return Engine(mode, _classifier(text), batch_size, device)


def _skip(journal: Journal, error: BadPhotoError) -> None:
    log.warning("skipped: %s", error)
    journal.failed.append(str(error))


def _explain_all(study: Study, photos: Chosen, journal: Journal) -> None:
    """Explain and score photo by photo; heatmaps go to the store, rows into the journal."""
    tasks = [(index, "evaluation") for index in photos.evaluation]
    tasks += [(index, "held_out") for index in photos.held_out]
    cost = study.cost * max(config.top_k(study.cfg.target), 1)
    with console.bar(study.title, len(tasks), cost) as bar:
        for index, split in tasks:
            try:
                sample = study.dataset.load(index, study.classifier.input_size)
            except BadPhotoError as error:
                _skip(journal, error)
            else:
                _explain_photo(study, sample, split, journal, bar)
            bar.finished_photo()
    require(len(journal.rows) > 0, f"none of {len(tasks)} photos could be read")


def _explain_photo(
    study: Study, sample: Sample, split: str, journal: Journal, bar: console.Bar
) -> None:
    def on_scored(count: int) -> None:
        journal.n_scored += count
        bar.scored(count)

    for target in targets(study, sample):
        probe = Probe(
            sample,
            target,
            study.classifier,
            study.filler,
            seed=study.cfg.seed,
            batch_size=study.cfg.batch_size,
            device=study.device,
            on_scored=on_scored,
            engine=study.engine,
        )
        key, heatmap = _explain(study, probe)
        journal.keys.append(key)
        journal.rows.append({"split": split} | _row(study, probe, heatmap))
        if split == "evaluation":
            label = study.classifier.labels[target]
            journal.gallery.add(sample, target, label, heatmap.score)


def targets(study: Study, sample: Sample) -> list[int]:
    """Return the classes to explain: the photo's label, or the classifier's first k choices."""
    k = config.top_k(study.cfg.target)
    if k > 0:
        count = len(study.classifier.labels)
        padding = (0, 0, 0, 0, 0, 0, 0, study.cfg.batch_size - 1)
        images = functional.pad(sample.image[None].to(study.device), padding)
        with torch.no_grad():
            best = study.classifier(images)[0].topk(min(k, count))
        return [int(index) for index in best.indices]
    assert sample.label is not None, "check_chosen lets no photo pass without a label"
    return [sample.label]


def _explain(study: Study, probe: Probe) -> tuple[str, Heatmap]:
    """Find the heatmap in the store, or compute and keep it."""
    key = heatmap_key(
        probe.sample, probe.target, study.classifier, study.filler, study.method, study.cfg.seed
    )
    known = study.store.get(key)
    if known is not None:
        return key, known
    start = time.perf_counter()
    heatmap = study.method.explain(probe)
    heatmap = replace(heatmap, seconds=time.perf_counter() - start)
    study.store.put(key, heatmap)
    return key, heatmap


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
