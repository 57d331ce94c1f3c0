"""From rows of scores to the numbers and files of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from genattr.analysis.statistics import Estimate, estimate
from genattr.errors import UserError, require
from genattr.metric.base import Metric
from genattr.plot.parts import Colors
from genattr.told import without_secrets_in

Row = dict[str, Any]
SUMMARY = "summary.json"
ARROWS = {"lower": "↓", "higher": "↑"}  # which way is better
LISTED = ("memory/", "member", "seconds_per_heatmap", "precision/largest_difference", "sweep/")
DOT = " · "  # between the parts of a title
FORMAT = 2  # of the file; raise it when older ones can no longer be read


@dataclass(frozen=True)
class Part:
    """A component of a finished run.

    Attributes
    ----------
    option
        Name of its option, such as "sp".
    title
        Its name for people, such as "SP-G".
    inpaints
        Whether it is a filler that inpaints; None: it is no filler.
    """

    option: str
    title: str
    inpaints: bool | None = None


@dataclass(frozen=True)
class Summary:
    """The results of a run.

    Attributes
    ----------
    title
        Such as "SP-G · mirror · efficientnet_lite0".
    settings
        The method's parameters for people, such as "patch_size 29 · stride 3".
    scores
        Estimates by ``metric/name``.
    directions
        ``lower`` or ``higher`` is better, by the same names.
    values
        Plain numbers by ``metric/name``, such as a chosen threshold, and the run's counts; the
        filler's counts begin with ``filler/``.
    photos, failed
        How many photos were explained and scored, and the names of those that could not be read.
    run_id
        The tracking store's name of the run.
    note
        The user's sentence about the run.
    in_sweep
        Its name among the members of its sweep, such as "SP · seed 1"; empty: it is no member.
    choices
        What sets a member of a sweep apart and no title has, such as "seed 1".
    parts
        Its components by their keys, such as ``filler`` and ``metric.deletion.filler``.
    reading
        How the classifier's outputs became probabilities: "softmax over 1000 logits".
    explain
        The quantity that its heatmaps are about: ``probability``, ``logit`` or ``log_odds``.
    map_colors
        Of its heatmaps in pictures: ``diverging`` or ``single``.
    family
        What its method and the plain or G counterpart have in common, such as "SP".
    is_generative
        Its method insists on an inpainter.
    experiment, table
        The preset that the sweep was started by, and the table that it ends with; None: none.
    over
        The key of ``sensitivity.over``; None: none.
    comparable
        Keys that the options of ``sensitivity`` compare heatmaps over.
    swept
        Its values of the keys that its sweep varies.
    """

    title: str
    settings: str
    scores: Mapping[str, Estimate]
    directions: Mapping[str, str]
    values: Mapping[str, float]
    photos: int
    failed: Sequence[str] = field(default_factory=list)
    run_id: str | None = None
    note: str | None = None
    choices: str = ""
    parts: Mapping[str, Part] = field(default_factory=dict)
    reading: str = ""
    explain: str = "probability"
    map_colors: Colors = "diverging"
    family: str = ""
    is_generative: bool = False
    experiment: str | None = None
    table: str | None = None
    over: str | None = None
    comparable: Sequence[str] = field(default_factory=list)
    swept: Mapping[str, str] = field(default_factory=dict)
    in_sweep: str = ""
    format: int = FORMAT

    @property
    def method(self) -> str:
        """Title of its method: "SP-G"."""
        return self.parts["method"].title

    @property
    def filler(self) -> str:
        """Title of its filler."""
        return self.parts["filler"].title

    @property
    def classifier(self) -> str:
        """Title of its classifier; empty where none is known."""
        return self.parts["classifier"].title if "classifier" in self.parts else ""

    def number(self, name: str) -> float:
        """Return a score's mean; UserError names the scores if there is none of that name."""
        require(
            name in self.scores,
            f"optimize={name}: no such score; there is {', '.join(self.scores) or 'none'}",
        )
        return self.scores[name].mean

    @property
    def name(self) -> str:
        """Its name in its sweep, or else its title."""
        return self.in_sweep or self.title

    @property
    def subtitle(self) -> str:
        """The line under the name: components and settings that the name does not have."""
        if not self.in_sweep:
            return self.beside_title
        parts = (self.filler, self.classifier, *self.settings.split(DOT))
        shown = self.in_sweep.split(DOT)
        return DOT.join(part for part in parts if part and part not in shown)

    @property
    def beside_title(self) -> str:
        """Settings, and what sets the run apart from others of its title."""
        return DOT.join(filter(None, (self.settings, self.choices)))

    @property
    def fixed_alphas(self) -> dict[str, float]:
        """Thresholds by metric, of those metrics that no held-out photos chose one for."""
        return {
            name: self.values[f"{name}/alpha"]
            for name in {score.partition("/")[0] for score in self.scores}
            if self.values.get(f"{name}/alpha_chosen_on_held_out") == 0
        }

    def metrics(self) -> dict[str, float]:
        """Return the few numbers that a tracking store lists; the file of the summary has all.

        They are the scores' means, the thresholds that held-out photos chose, the similarities over
        a key, the member's place in its sweep, seconds and photos.
        """
        flat = {name: score.mean for name, score in self.scores.items()}
        flat |= {name: value for name, value in self.values.items() if self._is_listed(name)}
        failed = {"photos_failed": len(self.failed)} if self.failed else {}
        return flat | {"photos": self.photos} | failed

    def _is_listed(self, name: str) -> bool:
        section, _, kind = name.partition("/")
        if kind == "alpha":
            return self.values.get(f"{section}/alpha_chosen_on_held_out") == 1
        is_similarity = section == "sensitivity" and "/" not in kind
        return is_similarity or name.startswith(LISTED)

    def save(self, folder: Path) -> Path:
        """Write the summary to the run's folder."""
        text = json.dumps(without_secrets_in(asdict(self)), indent=1, ensure_ascii=False)
        path = folder / SUMMARY
        path.write_text(text, encoding="utf-8")
        return path


def load_summary(folder: Path) -> Summary:
    """Read what ``Summary.save`` wrote; UserError if an older version wrote it."""
    data = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    if data.get("format") != FORMAT:
        raise UserError(f"{folder} is of an older version: run it again; it keeps its heatmaps")
    data["parts"] = {key: Part(**part) for key, part in data["parts"].items()}
    data["scores"] = {name: Estimate(**score) for name, score in data["scores"].items()}
    return Summary(**data)


def heads(summaries: Sequence[Summary]) -> list[tuple[str, str]]:
    """Return names that tell runs apart, each with the line under it.

    They are the names in the sweep, unless those of several sweeps coincide, or some have none.
    """
    names = {summary.in_sweep for summary in summaries}
    if len(names) == len(summaries) and "" not in names:
        return [(summary.name, summary.subtitle) for summary in summaries]
    if len(summaries) == 1:
        return [(summary.title, summary.beside_title) for summary in summaries]
    beside = [summary.beside_title for summary in summaries]
    return list(zip(short_titles(summaries), beside, strict=True))


def short_titles(summaries: Sequence[Summary]) -> list[str]:
    """Return the runs' titles, without the classifier where all have the same."""
    if len({summary.classifier for summary in summaries}) > 1:
        return [summary.title for summary in summaries]
    return [
        f"{summary.method} · {summary.filler}" if summary.classifier else summary.title
        for summary in summaries
    ]


def aggregate(
    metrics: Mapping[str, Metric], rows: Sequence[Row]
) -> tuple[dict[str, Estimate], dict[str, float]]:
    """Combine the rows of all photos to estimates with intervals, and to plain numbers.

    Rows whose ``split`` is ``held_out`` only choose thresholds; the others get the values that
    were averaged as further columns. Several rows of one photo (several targets) count as one, by
    their mean: the photo is what was drawn.
    """
    evaluation = [row for row in rows if row["split"] == "evaluation"]
    held_out = [row for row in rows if row["split"] == "held_out"]
    photos = [row["image_id"] for row in evaluation]
    scores: dict[str, Estimate] = {}
    values: dict[str, float] = {}
    for name, metric in metrics.items():
        combined = metric.aggregate(
            rows_of_metric(evaluation, name), rows_of_metric(held_out, name)
        )
        for key, result in combined.items():
            if isinstance(result, float | int):
                values[f"{name}/{key}"] = result
                continue
            scores[f"{name}/{key}"] = estimate(_mean_by_photo(photos, result))
            for row, value in zip(evaluation, result, strict=True):
                row[f"{name}/{key}"] = value
    return scores, values


def label(name: str) -> str:
    """Shorten a score's name for people: "deletion/auc" is the deletion."""
    metric, _, kind = name.partition("/")
    return metric if kind in ("auc", "score") else f"{metric} {kind}"


def headed(name: str, directions: Mapping[str, str]) -> str:
    """Return a score's name for people with an arrow that points to better: "deletion ↓"."""
    return f"{label(name)} {ARROWS[directions[name]]}"


def counted(score: Estimate, photos: int) -> str:
    """Say how many of a run's photos a score is the mean of; empty if of all."""
    return "" if score.n == photos else f" ({score.n} of {photos})"


def photos_on_curve(metric: Metric, name: str, rows: Sequence[Row]) -> int:
    """Count the photos that a metric's curve over the threshold is the mean of."""
    own = rows_of_metric(rows, name)
    return len(
        {
            row["image_id"]
            for row, values in zip(rows, own, strict=True)
            if not np.isnan(metric.curve([values])).any()
        }
    )


def rows_of_metric(rows: Sequence[Row], name: str) -> list[Row]:
    """Return one metric's own columns, under the names that it gave them."""
    prefix = f"{name}/"
    return [
        {key.removeprefix(prefix): row[key] for key in row if key.startswith(prefix)}
        for row in rows
    ]


def _mean_by_photo(photos: Sequence[str], values: Sequence[float]) -> list[float]:
    import pandas as pd

    frame = pd.DataFrame({"photo": photos, "value": np.asarray(values, dtype=float)})
    means: list[float] = frame.groupby("photo", sort=False)["value"].mean().tolist()
    return means


def save_rows(rows: Sequence[Row], folder: Path) -> Path:
    """Write the per-image table, lists (curves) included."""
    import pandas as pd

    path = folder / "per_image.parquet"
    pd.DataFrame(list(rows)).to_parquet(path, index=False)
    return path
