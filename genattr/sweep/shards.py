"""Members of a sweep that explained parts of one selection of photos, merged into one run.

    python run.py -m 'selection.shard.index=range(0,8)' selection.shard.count=8

Nothing is explained or scored again: heatmaps come from the store, scores from the parts' tables.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from genattr.errors import BadPhotoError, UserError, require
from genattr.results.finished import MERGED, Member
from genattr.results.summary import SUMMARY, Row
from genattr.run import experiment, tasks
from genattr.run.selection import Chosen
from genattr.run.study import Journal, Study
from genattr.tracking.base import Run

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
    found: list[Member] = []
    for parts in _sets(members).values():
        indices = {part.config[INDEX] for part in parts}
        if len(indices) == int(parts[0].config[COUNT]) > 1:
            place = folder / MERGED / f"{parts[0].summary.values['member']:.0f}"
            found.append(_merged(parts, place, folder.name, store, record))
        else:
            found += parts
    return found


def _sets(members: Sequence[Member]) -> dict[tuple[tuple[str, str], ...], list[Member]]:
    """Group members that differ in the index of the shard alone."""
    sets: dict[tuple[tuple[str, str], ...], list[Member]] = {}
    for member in members:
        rest = {key: value for key, value in member.config.items() if key != INDEX}
        sets.setdefault(tuple(sorted(rest.items())), []).append(member)
    return sets


def _merged(
    parts: Sequence[Member], folder: Path, sweep: str, store: DictConfig, record: Run
) -> Member:
    """Merge one set into a folder, unless that was done since the parts ended."""
    newest = max((part.folder / SUMMARY).stat().st_mtime for part in parts)
    done = folder / SUMMARY
    if not done.is_file() or done.stat().st_mtime < newest:
        run_id = merge(parts, folder, {"kind": "member", "sweep": sweep}, store, record)
        if run_id is not None:
            for part in parts:
                _name_a_shard(part, store)
    return Member(folder)


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
    first = parts[0].summary
    kept = {k: v for k, v in first.values.items() if k == "member" or k.startswith("sweep/")}
    dropped = ("sweep/index", "sweep/count", f"sweep/{INDEX}", f"sweep/{COUNT}")
    choices = [one for one in first.choices.split(" · ") if not one.startswith("selection.shard")]
    parent = {} if record.run_id is None else {"mlflow.parentRunId": record.run_id}
    scored = sum(int(part.summary.values["classifier_calls"]) for part in parts)
    summary = experiment.run(
        cfg,
        folder,
        {**tags, **parent, "member": f"{first.values['member']:.0f}"},
        {key: value for key, value in kept.items() if key not in dropped},
        " · ".join(choices),
        explain=partial(_collect, rows=_rows(parts), scored=scored),
    )
    return summary.run_id


def _collect(study: Study, photos: Chosen, journal: Journal, rows: Rows, scored: int) -> None:
    """Fill the journal from the parts' rows and the store, in the order of all photos."""

    def skip(error: BadPhotoError) -> None:
        journal.failed.append(str(error))

    for task in tasks.tasks(study, photos, skip, lambda count: None):
        heatmap = study.store.get(task.key)
        row = rows.get((task.probe.sample.image_id, task.probe.target))
        if heatmap is None or row is None:
            raise UserError(f"no shard has explained {task.probe.sample.image_id}")
        journal.add(task.place, task.key, row)
        if task.split == "evaluation":
            label = study.classifier.labels[heatmap.target]
            sample = task.probe.sample
            journal.gallery.add(task.place, sample, heatmap.target, label, heatmap.score)
    require(len(journal.rows) > 0, "none of the shards' photos could be read")
    journal.n_scored = scored


def _rows(parts: Sequence[Member]) -> Rows:
    records = [row for part in parts for row in part.table.to_dict("records")]
    rows = [_row(record) for record in records]
    return {(row["image_id"], row["target"]): row for row in rows}


def _row(record: Mapping[Any, Any]) -> Row:
    """Undo what a table does to lists, to what is undefined, and to columns of some rows alone."""
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
    from genattr import config

    if part.summary.run_id is not None:
        config.build(store, "tracking").reopen(part.summary.run_id).tag("kind", "shard")
