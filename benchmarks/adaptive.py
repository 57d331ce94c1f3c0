"""What ``method.search=adaptive`` costs, and how far its maps are from the full ones.

    python -m benchmarks.adaptive --root ../shared/data/imagenet-val-300 --photos 50
    python -m benchmarks.adaptive --root ../shared/data/imagenet-val-300 --photos 3 --stride 6

Explains photos that the classifier gets right, fully and with several budgets. Prints for each
budget the share of windows evaluated and of CPU time, Spearman's rank correlation with the full
map (of its cells, and of the image that metrics see) and the localization errors. The windows of
the full map are scored once and looked up; the first ``--timed`` photos are searched truly, for
the time. A map at twice the stride stands beside them. Draws the curve; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from benchmarks.components import component, prepare
from genattr.analysis.statistics import estimate
from genattr.engine.choose import Engine
from genattr.method import adaptive
from genattr.method.sp import SlidingPatch, starts
from genattr.probe import Probe
from genattr.types import Heatmap

BUDGETS = (0.12, 0.2, 0.25, 0.333, 0.5, 0.75)


@dataclass
class Trial:
    """One photo, its full map, and what that took."""

    probe: Probe
    full: Heatmap
    seconds: float

    def with_values(self, values: Tensor) -> Heatmap:
        return replace(self.full, values=values)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--root", required=True, help="ImageNet's validation photos")
    parser.add_argument("--photos", type=int, default=50)
    parser.add_argument("--stride", type=int, default=3)
    parser.add_argument("--timed", type=int, default=5, help="photos whose searches are timed")
    parser.add_argument("--curve", type=Path, default=Path("adaptive.png"))
    options = parser.parse_args()
    prepare(threads=1)
    method = component("method", f"method.stride={options.stride}", "method.search=adaptive")
    metric = component("metric.localization")
    found, shares = [], []
    for number, trial in enumerate(trials(method, options), start=1):
        found.append(measure(method, metric, trial))
        if number <= options.timed:
            shares.append(cpu_share(method, trial))
        print(f"photo {number} of {options.photos}", flush=True)
    rows = [summary(f"budget {x}", [one[x] for one in found]) for x in (*BUDGETS, 1.0)]
    coarse = summary("twice the stride", [one["coarse"] for one in found])
    share = float(np.mean(shares))
    print(f"budget {method.budget}: {share:.3f} of the CPU time of {len(shares)} full maps")
    draw(rows, coarse, options.curve)
    sizes = {"photos": len(found), "stride": options.stride, "tolerance": method.tolerance}
    print(
        json.dumps(
            sizes
            | {"cpu_share": share, "engine": "incremental"}
            | {"budgets": rows, "coarse": coarse}
        )
    )


def trials(method: SlidingPatch, options: argparse.Namespace) -> Iterator[Trial]:
    """Explain photos, spread over the classes, that the classifier gets right."""
    dataset = component("dataset", "dataset=imagenet", f"dataset.root={options.root}")
    classifier, filler = component("classifier"), component("filler")
    engine = Engine("incremental", classifier, 32)
    order = np.random.default_rng(0).permutation(len(dataset)).tolist()
    left = options.photos
    for index in order:
        sample = dataset.load(index, classifier.input_size)
        if left == 0 or int(classifier(sample.image[None]).argmax()) != sample.label:
            continue
        probe = Probe(sample, sample.label, classifier, filler, engine=engine)
        assert engine.is_incremental
        start = time.process_time()
        full = replace(method, search="full").explain(probe)
        yield Trial(probe, full, time.process_time() - start)
        left -= 1


def measure(method: SlidingPatch, metric: Any, trial: Trial) -> dict[Any, Any]:
    """Search with every budget in the full map."""
    result: dict[Any, Any] = {}
    for budget in BUDGETS:
        values, evaluated = look_up(trial, method.tolerance, budget)
        found = trial.with_values(values)
        result[budget] = compare(metric, trial, found) | {"evaluated": evaluated}
    full = trial.full.values
    result[1.0] = compare(metric, trial, trial.full) | {"evaluated": 1.0}
    coarse = replace(method, stride=2 * method.stride)
    few, cells = picked(trial, method, coarse)
    share = few.values.numel() / full.numel()
    result["coarse"] = compare(metric, trial, few, cells) | {"evaluated": share}
    return result


def picked(trial: Trial, method: SlidingPatch, coarse: SlidingPatch) -> tuple[Heatmap, Any]:
    """Pick the windows of a coarser search from the full map; interpolate its other cells."""
    size = trial.probe.size
    fine, few = (starts(size, one.patch_size, one.stride) for one in (method, coarse))
    chosen = torch.searchsorted(fine, few)
    values = trial.full.values[chosen][:, chosen]
    heatmap = replace(trial.full, values=values, placement=coarse.placement(size))
    rows = np.array([np.interp(fine, few, row) for row in values.numpy()])
    return heatmap, np.array([np.interp(fine, few, column) for column in rows.T]).T


def cpu_share(method: SlidingPatch, trial: Trial) -> float:
    """Search truly; return the share of the full map's CPU time."""
    start = time.process_time()
    real = method.explain(trial.probe)
    seconds = time.process_time() - start
    looked_up, _ = look_up(trial, method.tolerance, method.budget)
    assert (real.values - looked_up).abs().median() < 1e-5, "the search finds something else"
    return seconds / trial.seconds


def look_up(trial: Trial, tolerance: float, budget: float) -> tuple[Tensor, float]:
    """Search in the full map; return what is found, and the share of cells that it took."""
    full, count = trial.full.values, 0

    def score(cells: Tensor) -> Tensor:
        nonlocal count
        count += len(cells)
        return full.flatten()[cells]

    last_step = trial.full.placement.last_step
    values = adaptive.search(score, len(full), tolerance, budget, last_step)
    return values, count / full.numel()


def compare(
    metric: Any, trial: Trial, found: Heatmap, interpolated: Any | None = None
) -> dict[str, Any]:
    size = trial.probe.size
    image, full = found.to_image(size), trial.full.to_image(size)
    row = metric.per_image(found, trial.probe)
    cells = found.values if interpolated is None else interpolated
    return {
        "cells": float(spearmanr(cells.flatten(), trial.full.values.flatten())[0]),
        "image": float(spearmanr(image.flatten(), full.flatten())[0]),
        "error": float(metric.aggregate([row], [])["error"][0]),
    }


def summary(name: str, found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    error = estimate([one["error"] for one in found])
    row: dict[str, Any] = {"name": name}
    for key in ("evaluated", "cells", "image"):
        row[key] = round(float(np.mean([one[key] for one in found])), 4)
    row["lowest"] = round(min(one["image"] for one in found), 4)
    row["error"], row["interval"] = round(error.mean, 3), [error.low, error.high]
    print(
        f"{name:16} evaluated {row['evaluated']:.3f}, Spearman {row['cells']:.4f} of "
        f"cells, {row['image']:.4f} of images (lowest {row['lowest']:.4f}), localization error "
        f"{error.mean:.3f} [{error.low:.3f}, {error.high:.3f}]"
    )
    return row


def draw(rows: Sequence[dict[str, Any]], coarse: dict[str, Any], path: Path) -> None:
    """Draw agreement against cost."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    share = [100 * row["evaluated"] for row in rows]
    for key, label in (("image", "heatmap as an image"), ("cells", "heatmap's cells")):
        (line,) = axes.plot(share, [row[key] for row in rows], marker="o", label=label)
        axes.plot(100 * coarse["evaluated"], coarse[key], "x", color=line.get_color())
    axes.plot([], [], "x", color="black", label="the same at twice the stride")
    axes.axhline(0.98, color="gray", linewidth=0.8, linestyle=":")
    axes.set(xlabel="windows evaluated, %", ylabel="Spearman with the full map")
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
