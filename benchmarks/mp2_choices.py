"""Which of MP2's open choices are better? Every choice on the same photos, compared in pairs.

    python -m benchmarks.mp2_choices --root /path/to/imagenet --photos 50

Photos are drawn from those that the classifier gets right. Localization and saliency take their
alpha from the other half of the photos: each half chooses for the other. Intervals are 95 %
bootstrap intervals over photos. The last line is JSON. Heatmaps are kept in the store, so that an
interrupted run goes on and a second one costs the scoring alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from hydra import compose, initialize_config_dir
from numpy.typing import NDArray
from omegaconf import DictConfig
from rich.progress import track

from benchmarks.components import CONF, prepare
from genattr.analysis.statistics import Estimate, estimate
from genattr.errors import BadPhotoError
from genattr.metric.base import Metric
from genattr.metric.thresholds import ThresholdMetric
from genattr.run import experiment, tasks
from genattr.run.findings import Findings
from genattr.run.study import Study
from genattr.scoring import Counts
from genattr.types import Heatmap

CHOICES = {
    "blur, mask gradient": ["method=mp2"],
    "blur, image gradient": ["method=mp2", "method.rank_by=image_gradient"],
    "mirror, blur ranks": ["method=mp2-g"],
    "mirror, image gradient": ["method=mp2-g", "method.rank_by=image_gradient"],
}
PAIRS = {
    "ranking, of MP2": ("blur, image gradient", "blur, mask gradient"),
    "ranking, of MP2-G": ("mirror, image gradient", "mirror, blur ranks"),
    "filler, same ranking by blur": ("mirror, blur ranks", "blur, mask gradient"),
    "filler, same ranking by image": ("mirror, image gradient", "blur, image gradient"),
}
SCORES = ("localization", "deletion", "saliency", "area", "missed")
Scores = Mapping[str, NDArray[np.float64]]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", required=True, help="the ImageNet tree")
    parser.add_argument("--photos", type=int, default=50)
    parser.add_argument("--tie-seeds", type=int, default=2, help="of the deletion metric")
    parser.add_argument("--out", type=Path, default=Path("outputs/mp2_choices"))
    parser.add_argument("overrides", nargs="*", help="further overrides of run.py")
    return parser.parse_args()


def compose_choice(options: argparse.Namespace, choice: Sequence[str]) -> DictConfig:
    """Compose the configuration of one choice."""
    common = [
        "dataset=imagenet", f"dataset.root={options.root}", "dataset.resize=null",
        "selection.correct_only=true", f"selection.sample={options.photos}",
        "metric=[localization,deletion,saliency]",
        f"metric.deletion.tie_seeds={options.tie_seeds}", "tracking=none",
    ]  # fmt: skip
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=[*common, *choice, *options.overrides])


def explain(cfg: DictConfig, folder: Path) -> None:
    """See to it that every heatmap is in the store."""
    plain = cfg.copy()
    plain.metric = {"localization": cfg.metric.localization}
    experiment.run(plain, folder)


def refuse(error: BadPhotoError) -> None:
    raise error


def score(study: Study, kinds: Sequence[str]) -> dict[str, Scores]:
    """Score the stored order maps, and the binary maps that they contain."""
    photos = experiment.choose(study, Findings())
    rows: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    found = tasks.tasks(study, photos, refuse, Counts())
    for task in track(found, study.title, len(photos.evaluation)):
        heatmap = study.store.get(task.key)
        assert heatmap is not None
        for kind in kinds:
            shown = heatmap if kind == "order" else binary(heatmap)
            scores = {n: m.per_image(shown, task.probe) for n, m in study.metrics.items()}
            rows[kind].append(scores | {"details": heatmap.details})
    return {kind: combine(study.metrics, found) for kind, found in rows.items()}


def binary(heatmap: Heatmap) -> Heatmap:
    """Return the hole whose cells an order map ranks."""
    return replace(heatmap, values=(heatmap.values > 0).float())


def combine(metrics: Mapping[str, Metric], rows: Sequence[Mapping[str, Any]]) -> Scores:
    """Return one number a photo for each score."""
    found: dict[str, Any] = {}
    for name, metric in metrics.items():
        own = [row[name] for row in rows]
        if isinstance(metric, ThresholdMetric):
            found[name] = cross_fitted(metric, own)
        else:
            found[name] = metric.aggregate(own, [])["auc"]
    found["area"] = [row["details"]["area"] for row in rows]
    found["missed"] = [1 - row["details"]["reached_stop"] for row in rows]
    return {name: np.asarray(values, dtype=float) for name, values in found.items()}


def cross_fitted(metric: ThresholdMetric, rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """Score each half of the photos at the alpha that is best on the other."""
    values = [float("nan")] * len(rows)
    for half in (0, 1):
        values[half::2] = metric.aggregate(rows[half::2], rows[1 - half :: 2])[metric.name]  # type: ignore[assignment]
    return values


def show(value: Estimate, form: str) -> str:
    return f"{value.mean:{form}} [{value.low:{form}}, {value.high:{form}}]"


def difference(one: Scores, other: Scores, name: str) -> Estimate:
    """Estimate the mean of the paired difference."""
    return estimate((one[name] - other[name]).tolist())


def table(title: str, rows: Mapping[str, Mapping[str, Estimate]], form: str) -> None:
    """Print a Markdown table.

    Parameters
    ----------
    form
        Of a number: ``.3f``, or ``+.3f`` for differences.
    """
    print(f"\n| {title} | {' | '.join(SCORES)} |\n|---|{'---|' * len(SCORES)}")
    for name, values in rows.items():
        told = [show(values[score], form) for score in SCORES]
        print(f"| {name} | {' | '.join(told)} |")


def main() -> None:
    options = parse()
    prepare()
    found: dict[str, Scores] = {}
    for name, choice in CHOICES.items():
        cfg = compose_choice(options, choice)
        explain(cfg, options.out / name.replace(", ", "_").replace(" ", "_"))
        for kind, scores in score(experiment.assemble(cfg), ("order", "binary")).items():
            found[f"{name}, {kind}"] = scores
    means = {
        name: {key: estimate(values.tolist()) for key, values in scores.items()}
        for name, scores in found.items()
    }
    pairs = {
        name: {key: difference(found[f"{a}, order"], found[f"{b}, order"], key) for key in SCORES}
        for name, (a, b) in PAIRS.items()
    }
    pairs |= {
        f"binary, of {name}": {
            key: difference(found[f"{name}, binary"], found[f"{name}, order"], key)
            for key in SCORES
        }
        for name in CHOICES
    }
    table("choice", means, form=".3f")
    table("paired difference", pairs, form="+.3f")
    report: dict[str, Any] = {"photos": len(next(iter(found.values()))["area"])}
    for title, rows in (("means", means), ("differences", pairs)):
        report[title] = {
            name: {key: asdict(value) for key, value in row.items()} for name, row in rows.items()
        }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
