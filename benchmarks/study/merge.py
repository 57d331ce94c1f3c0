"""Adds a run of some photos to the folder of its row, which is like that of one run over all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
from omegaconf import OmegaConf

from benchmarks.study.plan import TABLE
from genattr import components
from genattr.metric.base import Metric
from genattr.results import comparison, summary
from genattr.results.finished import Member, records

ENVIRONMENT, CONFIG = "environment.json", "config.yaml"
PER_HEATMAP = "seconds_per_heatmap"
COUNTED = ("classifier_calls", "filler_calls", "heatmaps")


def add(run: Path, row: Path, split: str) -> None:
    """Add a finished run's scores to a row.

    Parameters
    ----------
    split
        What its photos are for, ``evaluation`` or ``held_out``.
    """
    new = Member(run)
    table = new.table.assign(split=split)
    if (row / summary.SUMMARY).is_file():
        old = Member(row)
        table = pd.concat([old.table, table], ignore_index=True)
        table = table.drop_duplicates(["image_id", "target", "split"], keep="last")
    row.mkdir(parents=True, exist_ok=True)
    _add_comparisons(run, row)
    _add_machine(run, row)
    _keep_config(run, row)
    _summarized(new, records(table), row)


def at_thresholds_of(chooser: Path, row: Path) -> pd.DataFrame:
    """Return a row's photos for claims, scored at the thresholds that another row's photos choose.

    Parameters
    ----------
    chooser
        The folder of the other row, with photos for choices.
    """
    table = Member(chooser).table
    both = pd.concat([table[table["split"] == "held_out"], Member(row).evaluated])
    rows = records(both)
    summary.aggregate(metrics_of(row), rows)
    scored = pd.DataFrame(rows)
    return scored[scored["split"] == "evaluation"]


def metrics_of(row: Path) -> dict[str, Metric]:
    """Build the metrics that a row was scored by, by their names."""
    nodes = OmegaConf.load(row / CONFIG)
    return {
        str(name): components.build(node, f"metric.{name}", Metric)
        for name, node in nodes.metric.items()
    }


def _summarized(new: Member, rows: list[summary.Row], row: Path) -> None:
    """Aggregate all photos anew: what a threshold decides follows the photos that choose it."""
    metrics = metrics_of(row)
    scores, values = summary.aggregate(metrics, rows)
    table = pd.DataFrame(rows)
    _write_packed(table, row / TABLE)
    evaluated = table[table["split"] == "evaluation"]
    replace(
        new.summary,
        scores=scores,
        directions={name: metrics[name.partition("/")[0]].direction for name in scores},
        values=values | {PER_HEATMAP: float(table["seconds"].mean()), "heatmaps": len(table)},
        photos=evaluated["image_id"].nunique(),
        run_id=None,
    ).save(row)


def _keep_config(run: Path, row: Path) -> None:
    """Keep the configuration with most metrics, without what chose its photos and folders."""
    cfg, kept = OmegaConf.load(run / CONFIG), row / CONFIG
    if kept.is_file() and len(OmegaConf.load(kept).metric) >= len(cfg.metric):
        return
    cfg.selection.names, cfg.selection.limit = None, None
    cfg.dataset.root, cfg.store = "imagenet", "heatmaps"
    OmegaConf.save(cfg, kept)


def _add_machine(run: Path, row: Path) -> None:
    """Keep what the first run ran on, and the processors of all."""
    facts = json.loads((run / ENVIRONMENT).read_text(encoding="utf-8"))
    file = row / ENVIRONMENT
    kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else facts
    processors = [*kept.get("processors", []), facts.get("cpu", "")]
    kept["processors"] = sorted(set(processors))
    file.write_text(json.dumps(kept, indent=1), encoding="utf-8")


def _add_comparisons(run: Path, row: Path) -> None:
    """Add what was compared over a key, photo by photo."""
    new, old = run / comparison.TABLE, row / comparison.TABLE
    if not new.is_file():
        return
    tables = [pd.read_parquet(file) for file in (old, new) if file.is_file()]
    both = pd.concat(tables, ignore_index=True).drop_duplicates(["image_id", "target"], keep="last")
    _write_packed(both, old)


def _write_packed(table: pd.DataFrame, file: Path) -> None:
    """Write a table as small as Parquet can: its numbers differ, so that a dictionary only adds."""
    table.to_parquet(
        file,
        index=False,
        compression="zstd",
        compression_level=19,
        use_dictionary=False,
        write_statistics=False,
    )
