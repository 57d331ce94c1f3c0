"""What a run leaves behind: its summary, the files in its folder, its record."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

from genattr import environment
from genattr.metric.thresholds import ALPHAS, ThresholdMetric
from genattr.plot.figures import alpha_curves
from genattr.results import comparison, examples
from genattr.results import summary as results
from genattr.results.summary import Row, Summary
from genattr.run.study import Journal, Study, name_of
from genattr.store import archive
from genattr.store.heatmaps import identity
from genattr.tracking.base import Run, without_password
from genattr.types import Heatmap


def summarize(
    study: Study,
    journal: Journal,
    run_id: str | None,
    numbers: Mapping[str, float],
    choices: str,
) -> Summary:
    """Aggregate the journal's rows; their averaged values become further columns."""
    scores, values = results.aggregate(study.metrics, journal.rows)
    explained = [row for row in journal.rows if row["split"] == "evaluation"]
    values |= dict(numbers) | {
        "seconds_per_heatmap": float(np.mean([row["seconds"] for row in journal.rows])),
        "classifier_calls": journal.n_scored,
        "filler_calls": sum(row["n_filled"] for row in journal.rows),
        "heatmaps": len(journal.rows),
    }
    if journal.sensitivity is not None:
        values |= journal.sensitivity.metrics()
    values |= _details(journal.rows, set(getattr(study.filler, "counts", {})))
    return Summary(
        title=study.title,
        settings=study.settings,
        choices=choices,
        scores=scores,
        directions={name: study.metrics[name.split("/")[0]].direction for name in scores},
        values=values,
        photos=len({row["image_id"] for row in explained}),
        failed=journal.failed,
        run_id=run_id,
        note=study.cfg.note,
    )


def _details(rows: Sequence[Row], counted: Set[str]) -> dict[str, float]:
    """Add up what the filler counted, and average what else the methods told of the photos."""
    table = pd.DataFrame(rows)
    scored = table[table["split"] == "evaluation"]
    values = {}
    for column in table.columns[table.columns.str.startswith("method/")]:
        name = column.removeprefix("method/")
        if name in counted:
            values[f"filler/{name}"] = float(table[column].sum())
        else:
            values[column] = float(scored[column].mean())
    return values


def write(study: Study, journal: Journal, summary: Summary, folder: Path) -> list[Path]:
    """Write the run's files and return them; the heatmaps pass through one at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [
        _save_config(study, folder),
        _save_environment(study, folder),
        results.save_rows(journal.rows, folder),
        archive.write(folder / "heatmaps.npz", _heatmaps(study, journal.keys), len(journal.keys)),
        summary.save(folder),
        *_draw_curves(study, journal, summary, folder),
    ]
    if journal.sensitivity is not None:
        files += comparison.write([journal.sensitivity], folder, title=study.title)
    if journal.gallery.photos:
        captions = _captions(journal.rows, list(summary.scores))
        files.append(journal.gallery.save(folder, captions, _varied(study, journal)))
        title = f"{summary.title}\n{summary.subtitle}"
        sheet = folder / "contact_sheet.png"
        files.append(examples.draw([folder], sheet, title=title, note=summary.note or ""))
    return files


def record(summary: Summary, folder: Path, files: Sequence[Path], run: Run) -> None:
    """Hand the run's numbers, files and examples to the tracking store."""
    run.metrics(summary.metrics())
    run.files(files)
    if (folder / examples.FILE) in files:
        run.examples(examples.examples(folder, summary))
    if summary.failed:
        run.tag("photos_failed", "; ".join(summary.failed)[:5000])


def _save_config(study: Study, folder: Path) -> Path:
    """Write the whole configuration, but for a password in the tracking URI."""
    path, cfg = folder / "config.yaml", study.cfg.copy()
    if "uri" in cfg.tracking:
        cfg.tracking.uri = without_password(cfg.tracking.uri)
    OmegaConf.save(cfg, path, resolve=True)
    return path


def _save_environment(study: Study, folder: Path) -> Path:
    facts: dict[str, object] = dict(environment.describe(study.device))
    facts["classifier"] = identity(study.classifier)
    facts["filler"] = identity(study.filler)
    facts["input_size"] = study.classifier.input_size
    text = json.dumps(facts, indent=1, default=str)
    path = folder / "environment.json"
    path.write_text(text, encoding="utf-8")
    return path


def _varied(study: Study, journal: Journal) -> dict[str, list[Heatmap]]:
    """Read the first photos' heatmaps under each value of ``sensitivity.over``."""
    first = {value: keys[: examples.MOST_VARIED] for value, keys in journal.varied.items()}
    return {value: list(_heatmaps(study, keys)) for value, keys in first.items()}


def _heatmaps(study: Study, keys: Sequence[str]) -> Iterator[Heatmap]:
    for key in keys:
        heatmap = study.store.get(key)
        assert heatmap is not None, f"{key} was pruned from the store during the run"
        yield heatmap


def _captions(rows: list[Row], names: list[str]) -> dict[str, str]:
    """Say each heatmap's scores in a few words."""
    captions = {}
    for row in rows:
        parts = [f"{results.label(name)} {row[name]:.2f}" for name in names if name in row]
        captions[examples.photo_key(row["image_id"], row["target"])] = " · ".join(parts)
    return captions


def _draw_curves(study: Study, journal: Journal, summary: Summary, folder: Path) -> list[Path]:
    """Draw each threshold metric over alpha, and keep the numbers; return the files."""
    evaluation = [row for row in journal.rows if row["split"] == "evaluation"]
    curves, files = {}, []
    for name, metric in study.metrics.items():
        if isinstance(metric, ThresholdMetric):
            own = results.rows_of_metric(evaluation, name)
            curves[name] = metric.curve(own)
            picture = alpha_curves(
                {study.title: curves[name]},
                ALPHAS,
                folder / f"{name}_alpha.png",
                chosen={study.title: summary.values[f"{name}/alpha"]},
                ylabel=f"{name} {metric.name}",
                title=f"{name_of(study.method)}: {name} over the threshold",
            )
            files.append(picture)
    if not curves:
        return []
    text = json.dumps({"alpha": ALPHAS} | {name: curve.tolist() for name, curve in curves.items()})
    numbers = folder / "alpha_curves.json"
    numbers.write_text(text, encoding="utf-8")
    return [*files, numbers]
