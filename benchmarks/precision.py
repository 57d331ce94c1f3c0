"""How far fewer bits move heatmaps and their scores, and what time they save.

    python -m benchmarks.precision dataset=imagenet dataset.root=/path/to/imagenet
    python -m benchmarks.precision --device cuda --batch 256 --fewer tf32 bf16 fp16

Explains photos that the classifier gets right, by each method and with each ``precision=``, and
scores every heatmap as a run does: by the classifier that it explains. Prints for each precision
the time of an image, with and without gradient, and the largest change of a probability; for each
method Spearman's rank correlation with the fp32 map, and how far its scores move. A photo's
numbers are added to ``--rows`` when it is done: the same command goes on after a stop. The last
line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from benchmarks.components import component, prepare
from genattr import environment
from genattr.classifier.precision import DTYPES, NAMES, reduce
from genattr.engine.choose import Engine
from genattr.probe import Probe
from genattr.protocols import Classifier, Filler
from genattr.types import Heatmap, Sample

EXACT = "fp32"
METHODS = {
    "sp": ("method=sp", "method.stride=28"),
    "lime": ("method=lime", "method.n_samples=96"),
    "mp2": ("method=mp2", "method.mask_size=14", "method.cells_per_step=4", "method.max_steps=20",
            "method.together=1"),
}  # fmt: skip
METRICS = {
    "localization": (),
    "deletion": ("metric.deletion.tie_seeds=1", "metric.deletion.pixels_per_step=3584"),
    "insertion": ("metric.insertion.tie_seeds=1", "metric.insertion.pixels_per_step=3584"),
    "saliency": (),
}

Row = dict[str, Any]
Choices = Mapping[str, Sequence[str]]
Photos = Iterator[Sample]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("dataset", nargs="*", help="its keys; left out: the samples")
    parser.add_argument("--photos", type=int, default=50)
    parser.add_argument("--fewer", nargs="+", choices=NAMES[1:], default=list(DTYPES))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--metrics", nargs="+", choices=METRICS, default=list(METRICS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=8, help="images at once")
    parser.add_argument("--rows", type=Path, default=Path("precision.jsonl"))
    parser.add_argument("--rounds", type=int, default=5, help="of the times of an image")
    options = parser.parse_args()
    prepare(threads=1)
    device = environment.resolve_device(options.device)
    exact = component("classifier")
    exact.to(device)
    classifiers = {name: reduce(exact, name, device) for name in (EXACT, *options.fewer)}
    times = milliseconds(classifiers, device, options)
    rows = list(measured(classifiers, device, options))
    found = {
        "photos": len(rows),
        "device": environment.describe(device).get("gpu", device.type),
        "milliseconds": times,
        "largest_difference": {
            name: max(row["difference"][name] for row in rows) for name in options.fewer
        },
        "methods": {
            method: {name: summary(rows, method, name) for name in options.fewer}
            for method in options.methods
        },
    }
    tell(found)
    print(json.dumps(found))


def milliseconds(
    classifiers: Mapping[str, Classifier], device: torch.device, options: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Time an image with each precision in turn, without and with its gradient: the least."""
    size, batch = classifiers[EXACT].input_size, options.batch
    images = torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(0))
    images = images.to(device)
    learned = images.clone().requires_grad_()
    taken: dict[str, dict[str, list[float]]] = {
        name: {"plain": [], "gradient": []} for name in classifiers
    }
    for _ in range(options.rounds + 1):
        for name, classifier in classifiers.items():
            plain = seconds(lambda c=classifier: score(c, images), device)
            gradient = seconds(lambda c=classifier: c(learned).sum().backward(), device)
            taken[name]["plain"].append(1000 * plain / batch)
            taken[name]["gradient"].append(1000 * gradient / batch)
    return {
        name: {kind: round(min(values[1:]), 2) for kind, values in kinds.items()}
        for name, kinds in taken.items()
    }


@torch.no_grad()
def score(classifier: Classifier, images: torch.Tensor) -> torch.Tensor:
    return classifier(images)


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return the CPU seconds of work; on a GPU, the seconds until it is done."""
    is_gpu = device.type == "cuda"
    clock = time.perf_counter if is_gpu else time.process_time
    start = clock()
    work()
    if is_gpu:
        torch.cuda.synchronize(device)
    return clock() - start


def measured(
    classifiers: Mapping[str, Classifier], device: torch.device, options: argparse.Namespace
) -> Iterator[Row]:
    """Yield each photo's numbers, those of an earlier start from the file."""
    known = read(options.rows)
    chosen = {name: METHODS[name] for name in options.methods}
    judges = {name: METRICS[name] for name in options.metrics}
    settings = [device.type, list(classifiers), chosen, judges]
    engines = {
        name: Engine("auto", classifier, options.batch, device)
        for name, classifier in classifiers.items()
    }
    photos = right_photos(classifiers[EXACT], options.dataset, device)
    for number, sample in enumerate(islice(photos, options.photos), start=1):
        key = json.dumps([sample.image_id, settings])
        if key not in known:
            row = {"key": key} | measure(sample, engines, chosen, judges, options.batch)
            with options.rows.open("a") as file:
                file.write(f"\n{json.dumps(row)}\n")
            known[key] = row
        print(f"photo {number} of {options.photos}", flush=True)
        yield known[key]


def read(file: Path) -> dict[str, Row]:
    """Read the rows of an earlier start, but for one that a stop cut off."""
    rows: dict[str, Row] = {}
    for line in file.read_text().splitlines() if file.is_file() else ():
        with suppress(ValueError):
            row = json.loads(line)
            rows[row["key"]] = row
    return rows


def right_photos(classifier: Classifier, keys: Sequence[str], device: torch.device) -> Photos:
    """Yield photos in a fixed random order, if the classifier gets them right."""
    dataset = component("dataset", *keys)
    for index in np.random.default_rng(0).permutation(len(dataset)).tolist():
        sample = dataset.load(index, classifier.input_size)
        if int(score(classifier, sample.image[None].to(device)).argmax()) == sample.label:
            yield sample


def measure(
    sample: Sample, engines: Mapping[str, Engine], methods: Choices, metrics: Choices, batch: int
) -> Row:
    """Explain a photo by each method with each precision."""
    image = sample.image[None].to(engines[EXACT].device)
    fewer = {name: engine.classifier for name, engine in engines.items() if name != EXACT}
    row: Row = {"difference": {name: c.difference(image) for name, c in fewer.items()}}
    for method, keys in methods.items():
        maps, scores, taken = {}, {}, {}
        for name, engine in engines.items():
            probe = probe_of(sample, engine, built("filler", *keys[:1]), batch)
            start = time.process_time()
            maps[name] = built("method", *keys).explain(probe)
            taken[name] = time.process_time() - start
            scores[name] = scored(maps[name], probe, metrics)
        row[method] = {
            "spearman": {name: alike(maps[name], maps[EXACT]) for name in fewer},
            "scores": scores,
            "cpu_seconds": taken,
        }
    return row


built = cache(component)


def probe_of(sample: Sample, engine: Engine, filler: Filler, batch: int) -> Probe:
    assert sample.label is not None
    return Probe(
        sample,
        sample.label,
        engine.classifier,
        filler,
        batch_size=batch,
        device=engine.device,
        engine=engine,
    )


def scored(heatmap: Heatmap, probe: Probe, metrics: Choices) -> dict[str, float]:
    """Score a map by each metric."""
    found = {}
    for name, keys in metrics.items():
        metric = built(f"metric.{name}", *keys)
        numbers = metric.aggregate([metric.per_image(heatmap, probe)], [])
        found |= {
            f"{name}/{key}": float(values[0])
            for key, values in numbers.items()
            if not isinstance(values, float)
        }
    return found


def alike(heatmap: Heatmap, exact: Heatmap) -> float:
    """Return Spearman's rank correlation of two maps' cells; 1 of equal ones."""
    if torch.equal(heatmap.values, exact.values):
        return 1.0
    return float(spearmanr(heatmap.values.flatten(), exact.values.flatten())[0])


def summary(rows: Sequence[Row], method: str, name: str) -> Row:
    """Sum up how far a precision moves a method's maps and scores."""
    spearman = [row[method]["spearman"][name] for row in rows]
    result: Row = {"spearman": mean(spearman), "lowest": round(min(spearman), 4)}
    for key in rows[0][method]["scores"][EXACT]:
        pairs = [[row[method]["scores"][x][key] for x in (EXACT, name)] for row in rows]
        moves = np.diff(np.array(pairs)).flatten()
        result[key] = {"fp32": mean([pair[0] for pair in pairs]), "moved": mean(moves)}
        result[key]["largest"] = round(float(np.nanmax(np.abs(moves))), 4)
    times = {x: mean([row[method]["cpu_seconds"][x] for row in rows]) for x in (EXACT, name)}
    return result | {"cpu_seconds": times}


def mean(values: Sequence[float] | np.ndarray[Any, Any]) -> float:
    return round(float(np.nanmean(values)), 4)


def tell(found: Row) -> None:
    """Print the tables."""
    for name, times in found["milliseconds"].items():
        print(f"{name}: {times['plain']} ms an image, {times['gradient']} ms with its gradient")
    for name, difference in found["largest_difference"].items():
        print(f"{name} moves a probability by {difference:.2g} at most")
    for method, names in found["methods"].items():
        for name, row in names.items():
            moves = ", ".join(
                f"{key} {value['fp32']:.3f} by {value['moved']:+.4f} (at most {value['largest']})"
                for key, value in row.items()
                if isinstance(value, dict) and "moved" in value
            )
            print(
                f"{method} {name}: Spearman {row['spearman']:.4f} (lowest {row['lowest']:.4f}), "
                f"moved {moves}"
            )


if __name__ == "__main__":
    main()
