"""One run: explain the photos, score the heatmaps, write and record the results.

The place where components are built, and the order of a run; ``worker`` loops over its photos.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from uuid import uuid4

import torch
from omegaconf import DictConfig, OmegaConf

from genattr import components, config, console, environment, imports, overrides, stopping
from genattr.classifier import precision
from genattr.classifier.trial import check_answers
from genattr.engine.choose import PLAIN, Engine
from genattr.errors import BadPhotoError, require
from genattr.files import expanded
from genattr.method.base import Method
from genattr.metric.base import Metric
from genattr.protocols import Classifier, Dataset, Filler
from genattr.results.summary import Summary
from genattr.run import cost, parts, tasks
from genattr.run.checks import check_chosen, check_study
from genattr.run.findings import Findings
from genattr.run.pages import FOLDER, pages_of
from genattr.run.part import Explain
from genattr.run.selection import Chosen, select
from genattr.run.study import Built, Place, Same, Study
from genattr.run.variants import compare_variants, variants
from genattr.run.worker import Worker, skip
from genattr.store.heatmaps import open_store
from genattr.tracking import later
from genattr.tracking.base import Run, Tracking, closing
from genattr.tracking.journal import RECORD, Kept, Opening
from genattr.tracking.later import Later


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
    preparation = later.prepared(study.tracking, is_begun=place.is_member)
    findings = Findings(pages=pages_of(study, folder, place.command))
    console.say(f"Classifier:    {study.classifier.title}: {study.classifier.reading}")
    if study.cfg.selection.correct_only and not place.is_member:
        preparation.result()  # choosing is long, too
    imports.ahead("genattr.run.outputs")
    photos = choose(study, findings)
    with ExitStack() as stack:
        record = stack.enter_context(recording(study, place, preparation, folder))
        with parts.spread(study, photos, assemble, explain_here) as explain:
            explain_and_score(study, photos, findings, record, explain)
            vary(study, photos, findings, explain)
        place = with_rounding(study, photos, place)
        still_open = stack.pop_all()

    def finish() -> Summary:
        kept = f"all {len(findings.rows)} heatmaps are kept"
        with still_open, stopping.keeping(lambda: kept):
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
    store = built.store or open_store(expanded(cfg.store))
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
        store=store,
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
        study.room,
        partial(skip, findings),
        console.watch_choosing,
    )
    check_chosen(study, [*photos.evaluation, *photos.held_out])
    return photos


def check(cfg: DictConfig) -> tuple[Study, Chosen]:
    """Check all that can be checked without opening a photo; UserError as ``run`` raises it.

    Returns
    -------
    The components, and the photos: as many as the run can need.
    """
    study = assemble(cfg)
    hopeful = cfg.copy()
    hopeful.selection.correct_only = False  # needs opened photos
    return study, choose(replace(study, cfg=hopeful), Findings())


@contextmanager
def recording(study: Study, place: Place, preparation: Future[None], folder: Path) -> Iterator[Run]:
    """Open the run's record as soon as its store is prepared, and close it also after errors.

    What a store does not take that goes away is kept in the folder.
    """
    note = {"mlflow.note.content": study.cfg.note} if study.cfg.note else {}
    tags = {"kind": "run", **place.tags, **note, RECORD: uuid4().hex}
    name = place.in_sweep or study.title
    later = Later(preparation, partial(study.tracking.start, name, study.params, tags))
    opening = Opening(name, study.params, tags, *study.tracking.place)
    with closing(Kept(later, folder, opening, is_begun=place.is_member)) as record:
        yield record


def explain_here(
    study: Study, photos: Chosen, findings: Findings, progress: console.Progress
) -> None:
    """Explain and score photos in this process."""
    findings.counts.on_scored = progress.scored
    Worker(study, findings, progress).explain(photos)
    findings.note_halved(study.halved)


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
        findings.note_halved(variant_findings.halved)
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
