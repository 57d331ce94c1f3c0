"""Which of MP2's open choices are better? Every choice on the same photos, compared in pairs.

    python -m benchmarks.mp2_choices --root /path/to/imagenet --photos 50
    python -m benchmarks.mp2_choices --root /path/to/imagenet --part choices --compare lightfill

Photos are drawn from those that the classifier gets right; more photos keep those that fewer had.
Localization and saliency take their alpha from the other half of the photos: each half chooses for
the other. Intervals are 95 % bootstrap intervals over photos. The last line is JSON. Heatmaps are
kept in the store, so that an interrupted run goes on and a second one costs the scoring alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from hydra import compose, initialize_config_dir
from numpy.typing import NDArray
from omegaconf import DictConfig
from rich.progress import track
from torch import Tensor

from benchmarks import split
from benchmarks.components import CONF, prepare
from genattr.analysis.statistics import Estimate, estimate
from genattr.errors import BadPhotoError
from genattr.filler.lightfill import LightFillInpainter
from genattr.metric.base import Metric
from genattr.metric.thresholds import ThresholdMetric
from genattr.protocols import Dataset
from genattr.run import experiment, tasks
from genattr.run.findings import Findings
from genattr.run.study import Study
from genattr.scoring import Counts
from genattr.tracking.base import Run
from genattr.types import Heatmap, Sample


class Comparison(NamedTuple):
    """Choices as overrides of run.py, and pairs of them: the first minus the second."""

    choices: Mapping[str, Sequence[str]]
    pairs: Mapping[str, tuple[str, str]]
    kinds: Sequence[str]  # of heatmap that are scored


def blur_ranks(filler: str) -> list[str]:
    return ["method=mp2-g", f"filler={filler}", "filler@method.rank_filler=blur"]


def image_gradient_ranks(filler: str) -> list[str]:
    return [
        "method=mp2-g", f"filler={filler}", "~filler@method.rank_filler",
        "method.rank_by=image_gradient",
    ]  # fmt: skip


COMPARISONS = {
    "mirror": Comparison(
        {
            "blur, mask gradient": ["method=mp2"],
            "blur, image gradient": ["method=mp2", "method.rank_by=image_gradient"],
            "mirror, blur ranks": blur_ranks("mirror"),
            "mirror, image gradient": image_gradient_ranks("mirror"),
        },
        {
            "ranking, of MP2": ("blur, image gradient", "blur, mask gradient"),
            "ranking, of MP2-G": ("mirror, image gradient", "mirror, blur ranks"),
            "filler, same ranking by blur": ("mirror, blur ranks", "blur, mask gradient"),
            "filler, same ranking by image": ("mirror, image gradient", "blur, image gradient"),
        },
        ("order", "binary"),
    ),
    "lightfill": Comparison(
        {
            "blur ranks": blur_ranks("lightfill"),
            "un-pasted output ranks": [
                "method=mp2-g", "filler=lightfill", "~filler@method.rank_filler",
                "filler._target_=benchmarks.mp2_choices.Unpasted",
            ],
            "image gradient ranks": image_gradient_ranks("lightfill"),
        },
        {
            "un-pasted output minus blur": ("un-pasted output ranks", "blur ranks"),
            "image gradient minus blur": ("image gradient ranks", "blur ranks"),
        },
        ("order",),
    ),
}  # fmt: skip
SCORES = ("localization", "deletion", "saliency", "area", "missed", "seconds")
Scores = Mapping[str, NDArray[np.float64]]


class Unpasted(LightFillInpainter):
    """LightFill that says what it makes of the photo even where nothing is removed.

    LightFill itself gives the photo back then, so that the first step has no mask gradient, and
    run.py refuses to rank by it.
    """

    def fill(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        return super(LightFillInpainter, self).fill(images, hole, seeds)


@dataclass(frozen=True)
class Part(Dataset):
    """Some photos of a dataset."""

    whole: Dataset
    indices: Sequence[int]

    @property
    def ids(self) -> list[str]:
        return [self.whole.ids[index] for index in self.indices]

    @property
    def photo_labels(self) -> list[int | None]:
        return [self.whole.photo_labels[index] for index in self.indices]

    @property
    def has_boxes(self) -> bool:
        return self.whole.has_boxes

    def load(self, index: int, size: int) -> Sample:
        return self.whole.load(self.indices[index], size)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", required=True, help="the ImageNet tree")
    parser.add_argument("--part", choices=split.PARTS, help="of that tree; see benchmarks.split")
    parser.add_argument("--photos", type=int, default=50)
    parser.add_argument(
        "--compare", choices=COMPARISONS, default="mirror", help="the inpainter of MP2-G"
    )
    parser.add_argument("--tie-seeds", type=int, default=2, help="of the deletion metric")
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


def assemble(options: argparse.Namespace, choice: Sequence[str]) -> Study:
    """Build the components of one choice, on the part of the photos that is asked for."""
    study = experiment.assemble(compose_choice(options, choice))
    part = split.indices(study.dataset.ids, options.part)
    return replace(study, dataset=Part(study.dataset, part))


def explain(study: Study) -> None:
    """See to it that every heatmap is in the store."""
    plain, findings = replace(study, metrics={}), Findings()
    experiment.explain_and_score(plain, experiment.choose(plain, findings), findings, Run())


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
            rows[kind].append(scores | {"details": heatmap.details, "seconds": heatmap.seconds})
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
    found["seconds"] = [row["seconds"] for row in rows]
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
    choices, pairs, kinds = COMPARISONS[options.compare]
    found: dict[str, Scores] = {}
    for name, choice in choices.items():
        study = assemble(options, choice)
        explain(study)
        for kind, scores in score(study, kinds).items():
            found[f"{name}, {kind}"] = scores
    means = {
        name: {key: estimate(values.tolist()) for key, values in scores.items()}
        for name, scores in found.items()
    }
    differences = {
        name: {key: difference(found[f"{a}, order"], found[f"{b}, order"], key) for key in SCORES}
        for name, (a, b) in pairs.items()
    }
    if "binary" in kinds:
        differences |= {
            f"binary, of {name}": {
                key: difference(found[f"{name}, binary"], found[f"{name}, order"], key)
                for key in SCORES
            }
            for name in choices
        }
    table("choice", means, form=".3f")
    table("paired difference", differences, form="+.3f")
    report: dict[str, Any] = {"photos": len(next(iter(found.values()))["area"])}
    for title, rows in (("means", means), ("differences", differences)):
        report[title] = {
            name: {key: asdict(value) for key, value in row.items()} for name, row in rows.items()
        }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
