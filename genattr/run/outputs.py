"""Outputs of a run: its summary, the files in its folder, its record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

from genattr import environment
from genattr.components import identity
from genattr.files import together, writing
from genattr.plot.figures import alpha_curves
from genattr.results import comparison, description, examples
from genattr.results import summary as results
from genattr.results.summary import Row, Summary
from genattr.run.findings import Findings, stored
from genattr.run.study import Place, Study
from genattr.store import archive
from genattr.told import without_secrets_in
from genattr.tracking.base import Run
from genattr.types import Heatmap


def summarize(study: Study, findings: Findings, run_id: str | None, place: Place) -> Summary:
    """Aggregate the rows of the findings; their averaged values become further columns."""
    scores, values = results.aggregate(study.metrics, findings.rows)
    explained = [row for row in findings.rows if row["split"] == "evaluation"]
    values |= dict(place.numbers) | {
        "seconds_per_heatmap": float(np.mean([row["seconds"] for row in findings.rows])),
        "classifier_calls": findings.counts.scored,
        "filler_calls": sum(row["n_filled"] for row in findings.rows),
        "heatmaps": len(findings.rows),
    }
    if findings.sensitivity is not None:
        values |= findings.sensitivity.metrics()
    values |= _details(findings.rows, set(study.filler.counts))
    values |= {f"memory/{key}": float(size) for key, size in findings.halved.items()}
    return Summary(
        title=study.title,
        settings=study.settings,
        in_sweep=place.in_sweep,
        choices=place.choices,
        scores=scores,
        directions={name: study.metrics[name.split("/")[0]].direction for name in scores},
        values=values,
        photos=len({row["image_id"] for row in explained}),
        failed=findings.failed,
        run_id=run_id,
        note=study.cfg.note,
        parts=study.parts,
        reading=study.classifier.reading,
        explain=study.cfg.explain,
        map_colors=study.cfg.map_colors,
        family=study.method.family,
        is_generative=study.method.requires_inpainter,
        experiment=study.cfg.experiment,
        table=study.cfg.table,
        over=study.cfg.sensitivity.over,
        comparable=list(place.comparable),
        swept=place.swept,
    )


def _details(rows: Sequence[Row], counted: Set[str]) -> dict[str, float]:
    """Sum the filler's counts, and average the methods' other details over the photos."""
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


def write(study: Study, findings: Findings, summary: Summary, folder: Path) -> list[Path]:
    """Write the run's files, all or none, and return them."""
    with together(folder) as place:
        files = _write(study, findings, summary, place)
    return [folder / file.name for file in files]


def _write(study: Study, findings: Findings, summary: Summary, folder: Path) -> list[Path]:
    """Write the files; the heatmaps pass through one at a time."""
    keys = findings.keys
    files = [
        _save_config(study, folder),
        _save_environment(study, folder),
        results.save_rows(findings.rows, folder),
        archive.write(folder / "heatmaps.npz", stored(study.store, keys), len(keys)),
        summary.save(folder),
        *_draw_curves(study, findings, summary, folder),
    ]
    if findings.sensitivity is not None:
        files += comparison.write([findings.sensitivity], folder, title=summary.name)
    if findings.examples.photos:
        captions = _captions(findings.rows, summary.directions)
        files.append(findings.examples.save(folder, captions, _varied(study, findings)))
        title = f"{summary.name}\n{summary.subtitle}"
        sheet = folder / "contact_sheet.png"
        files.append(examples.draw([folder], sheet, title=title, note=summary.note or ""))
    return files


@writing("the run's record")
def record(summary: Summary, folder: Path, files: Sequence[Path], run: Run, command: str) -> None:
    """Hand the run's numbers, files, examples and description to the tracking store.

    Parameters
    ----------
    command
        The shell's command that makes the run.
    """
    run.metrics(summary.metrics())
    run.describe(description.of_run(summary, folder / "contact_sheet.png", command))
    run.files(files)
    if (folder / examples.FILE) in files:
        run.examples(examples.examples(folder, summary))
    if summary.failed:
        run.tag("photos_failed", "; ".join(summary.failed)[:5000])


def _save_config(study: Study, folder: Path) -> Path:
    """Write the whole configuration without credentials."""
    path, values = folder / "config.yaml", OmegaConf.to_container(study.cfg, resolve=True)
    OmegaConf.save(OmegaConf.create(without_secrets_in(values)), path)
    return path


def _save_environment(study: Study, folder: Path) -> Path:
    facts: dict[str, object] = dict(environment.describe(study.device))
    facts["devices"] = ", ".join(map(str, study.devices))
    facts["classifier"] = identity(study.classifier)
    facts["filler"] = identity(study.filler)
    facts["input_size"] = study.classifier.input_size
    text = json.dumps(facts, indent=1, default=str)
    path = folder / "environment.json"
    path.write_text(text, encoding="utf-8")
    return path


def _varied(study: Study, findings: Findings) -> dict[str, list[Heatmap]]:
    """Read the first photos' heatmaps under each value of ``sensitivity.over``."""
    first = {value: keys[: examples.MOST_VARIED] for value, keys in findings.varied.items()}
    return {value: list(stored(study.store, keys)) for value, keys in first.items()}


def _captions(rows: list[Row], directions: Mapping[str, str]) -> dict[str, str]:
    """Write each heatmap's scores as a short caption, with arrows that point to better."""
    captions = {}
    for row in rows:
        parts = [
            f"{results.headed(name, directions)} {row[name]:.2f}"
            for name in directions
            if name in row
        ]
        captions[examples.photo_key(row["image_id"], row["target"])] = " · ".join(parts)
    return captions


def _draw_curves(study: Study, findings: Findings, summary: Summary, folder: Path) -> list[Path]:
    """Draw each threshold metric over alpha, and keep the numbers; return the files."""
    evaluation = [row for row in findings.rows if row["split"] == "evaluation"]
    curves: dict[str, list[float]] = {}
    files: list[Path] = []
    for name, metric in study.metrics.items():
        if metric.thresholds:
            curve = metric.curve(results.rows_of_metric(evaluation, name))
            curves |= {"alpha": list(metric.thresholds), name: curve.tolist()}
            picture = alpha_curves(
                {summary.name: curve},
                metric.thresholds,
                folder / f"{name}_alpha.png",
                chosen={summary.name: summary.values[f"{name}/alpha"]},
                ylabel=f"{metric.axis_label} {results.ARROWS[metric.direction]}",
                title=f"{study.method.title}: {name} over the threshold",
            )
            files.append(picture)
    if not curves:
        return []
    numbers = folder / "alpha_curves.json"
    numbers.write_text(json.dumps(curves), encoding="utf-8")
    return [*files, numbers]
