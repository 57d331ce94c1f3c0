"""Members of a sweep that explained parts of one selection of photos, merged into one run.

    python run.py -m 'selection.shard.index=range(0,8)' selection.shard.count=8

Nothing is explained or scored again: heatmaps come from the store, scores from the parts' tables.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from genattr import components
from genattr.errors import UserError, require
from genattr.results.finished import MERGED, Member
from genattr.results.summary import SUMMARY, Row, Summary
from genattr.run import experiment, tasks, worker
from genattr.run.findings import Findings
from genattr.run.selection import Chosen
from genattr.run.study import Place, Study
from genattr.scoring import Counts
from genattr.sweep import member
from genattr.tracking import later
from genattr.tracking.base import Run, Tracking
from genattr.tracking.journal import reopened

INDEX, COUNT = "selection.shard.index", "selection.shard.count"
Rows = Mapping[tuple[str, int], Row]


def merge_all(
    members: Sequence[Member], folder: Path, store: DictConfig, record: Run
) -> list[Member]:
    """Merge every complete set of shards among the members of a sweep.

    Parameters
    ----------
    folder
        The sweep's.
    store
        Configuration of the tracking store.
    record
        The sweep's parent run.

    Returns
    -------
    The members, with one merged member in the place of each complete set.
    """
    merged: list[Member] = []
    for parts in _sets(members).values():
        indices = {part.config[INDEX] for part in parts}
        if len(indices) == int(parts[0].config[COUNT]) > 1:
            place = folder / MERGED / f"{parts[0].summary.values['member']:.0f}"
            merged.append(_merged(parts, place, folder.name, store, record))
        else:
            merged += parts
    return merged


def _sets(members: Sequence[Member]) -> dict[tuple[tuple[str, str], ...], list[Member]]:
    """Group members that differ in the index of the shard alone."""
    sets: dict[tuple[tuple[str, str], ...], list[Member]] = {}
    for part in members:
        rest = {key: value for key, value in part.config.items() if key != INDEX}
        sets.setdefault(tuple(sorted(rest.items())), []).append(part)
    return sets


def _merged(
    parts: Sequence[Member], folder: Path, sweep: str, store: DictConfig, record: Run
) -> Member:
    """Merge one set into a folder, unless that was already done after the parts ended."""
    if not _is_done(parts, folder):
        (folder / member.NOTE).unlink(missing_ok=True)
        merge(parts, folder, {"kind": "member", "sweep": sweep}, store, record)
        for part in parts:
            _name_a_shard(part, store)
        member.Note(MERGED, "").save(folder)
    return Member(folder)


def _is_done(parts: Sequence[Member], folder: Path) -> bool:
    """Whether a set was merged to the end, after its parts ended."""
    done = folder / SUMMARY
    if member.finished_note(folder) is None or not done.is_file():
        return False
    newest = max((part.folder / SUMMARY).stat().st_mtime for part in parts)
    return done.stat().st_mtime >= newest


def merge(
    parts: Sequence[Member],
    folder: Path,
    tags: Mapping[str, str],
    store: DictConfig,
    record: Run,
) -> str | None:
    """Write and record the run that the parts are shards of; return its id."""
    cfg = OmegaConf.load(parts[0].folder / "config.yaml")
    assert isinstance(cfg, DictConfig)
    cfg.selection.shard = {"index": 0, "count": 1}
    cfg.tracking = store
    study = experiment.assemble(cfg)
    place = _place(parts[0].summary, tags, record, study)
    study = replace(study, in_sweep=place.in_sweep)
    preparation = later.prepared(study.tracking, is_begun=True)
    findings = Findings()
    photos = experiment.choose(study, findings)
    with experiment.recording(study, place, preparation, folder) as opened:
        _collect(study, photos, findings, _rows(parts))
        findings.counts.scored = sum(int(part.summary.values["classifier_calls"]) for part in parts)
        experiment.vary(study, photos, findings)
        place = experiment.with_rounding(study, photos, place)
        return experiment.conclude(study, findings, folder, opened, place).run_id


def _place(first: Summary, tags: Mapping[str, str], record: Run, study: Study) -> Place:
    """Return the merged run's place in the sweep: that of its first part."""
    number = first.values["member"]
    values = {key: value for key, value in first.swept.items() if key not in (INDEX, COUNT)}
    parent = {} if record.run_id is None else {"mlflow.parentRunId": record.run_id}
    return Place(
        tags={**tags, **parent, "member": f"{number:.0f}"},
        numbers=member.numbers(number, values),
        swept=values,
        in_sweep=member.title(study.titles, values, (), int(number)) if values else "",
        choices=member.choices(values),
        comparable=tuple(first.comparable),
    )


def _collect(study: Study, photos: Chosen, findings: Findings, rows: Rows) -> None:
    """Fill the findings from the parts' rows and the store, in the order of all photos."""
    for task in tasks.tasks(study, photos, lambda error, _: findings.skip(error), Counts()):
        heatmap = study.store.get(task.key)
        row = rows.get((task.probe.sample.image_id, task.probe.target))
        if heatmap is None or row is None:
            raise UserError(f"no shard has explained {task.probe.sample.image_id}")
        findings.add(task.place, task.key, row)
        worker.keep_example(study, findings, task, heatmap)
    require(len(findings.rows) > 0, "none of the shards' photos could be read")


def _rows(parts: Sequence[Member]) -> Rows:
    records = [row for part in parts for row in part.table.to_dict("records")]
    rows = [_row(record) for record in records]
    return {(row["image_id"], row["target"]): row for row in rows}


def _row(record: Mapping[Any, Any]) -> Row:
    """Restore lists and None from a table's record, and drop columns that the row did not have."""
    row: Row = {}
    for key, value in record.items():
        if isinstance(value, np.ndarray):
            row[key] = value.tolist()
        elif not (isinstance(value, float) and math.isnan(value)) and value is not None:
            row[key] = int(value) if key == "label" else value
        elif record["split"] == "evaluation" or key == "label":
            row[key] = None
    return row


def _name_a_shard(part: Member, store: DictConfig) -> None:
    tracking = components.build(store, "tracking", Tracking)
    reopened(tracking, part.summary.run_id, part.folder).tag("kind", "shard")
