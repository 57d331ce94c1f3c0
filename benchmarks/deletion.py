"""Deletion and insertion scores of a heatmap, against RISE's loop.

    python -m benchmarks.deletion
    python -m benchmarks.deletion --short

That loop changes one image step by step, and scores it at each step. Both judge the same maps of
the same photos, each in a process of its own, in turn, on one thread; CPU seconds count, without
imports and weights. The loop has the network as its library builds it and the default allocator.
Fails if the curves differ. The last line is JSON.
"""

from __future__ import annotations

import json
import time
from itertools import cycle, islice
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks import turns
from benchmarks.components import component, prepare, started
from genattr import config
from genattr.probe import Probe
from genattr.types import Heatmap, Sample

MODULE = "benchmarks.deletion"
METRICS = ("deletion", "insertion")
SIZE = 224
STEP = 8 * SIZE  # pixels
LARGEST_DIFFERENCE = 1e-5  # of a probability


def main() -> None:
    parser = turns.parser(str(__doc__))
    parser.add_argument("--photos", type=int, default=6, help="2 where --short")
    options = parser.parse_args()
    if options.short:
        options.rounds, options.photos = 1, 2
    if turns.worked(options, lambda way: work(way, options.photos)):
        return
    found = turns.in_turn(
        MODULE, ("genattr", "rise"), options.rounds, "--photos", str(options.photos)
    )
    cpu = turns.cpu_seconds(found, "deletion")
    difference = float((found["genattr"][0]["curves"] - found["rise"][0]["curves"]).abs().max())
    assert difference < LARGEST_DIFFERENCE, f"curves differ by {difference}"
    report = {"vs_rise": round(cpu["rise"] / cpu["genattr"], 2), "cpu_s": cpu}
    report |= {"largest_difference": difference, "photos": options.photos}
    print(json.dumps(report | {"rounds": options.rounds, "threads": 1}))


def work(way: str, photos: int) -> turns.Result:
    config.register()
    dataset = component("dataset")
    samples = [dataset.load(index, SIZE) for index in islice(cycle(range(len(dataset))), photos)]
    return ours(samples) if way == "genattr" else theirs(samples)


def ours(samples: list[Sample]) -> turns.Result:
    prepare(threads=1)
    classifier, filler = started(), component("filler")
    metrics = [component(f"metric.{name}") for name in METRICS]
    probes = [Probe(sample, int(sample.label or 0), classifier, filler) for sample in samples]
    maps = [heatmap(probe, seed) for seed, probe in enumerate(probes)]
    start = time.process_time()
    curves = [
        metric.per_image(values, probe)["curve"]
        for probe, values in zip(probes, maps, strict=True)
        for metric in metrics
    ]
    return {"cpu_s": time.process_time() - start, "curves": torch.tensor(curves)}


def heatmap(probe: Probe, seed: int) -> Heatmap:
    """Return a made-up map of the probe's photo."""
    return probe.heatmap(values(seed, probe.size), (0.0, 1.0))


def values(seed: int, size: int = SIZE) -> Tensor:
    """Return a smooth random map without ties."""
    coarse = torch.rand(1, 1, 9, 9, generator=torch.Generator().manual_seed(seed))
    return functional.interpolate(coarse, (size, size), mode="bicubic")[0, 0]


def theirs(samples: list[Sample]) -> turns.Result:
    classifier = component("classifier")
    network = classifier.build().eval()
    mean, std = (torch.tensor(list(x)).view(1, -1, 1, 1) for x in (classifier.mean, classifier.std))
    fillers = {"deletion": component("filler", "filler=gray")}
    fillers["insertion"] = component("filler", "filler=blur")

    def score(image: Tensor, label: int) -> float:
        with torch.no_grad():
            return float(network((image - mean) / std).softmax(1)[0, label])

    start = time.process_time()
    curves = [
        loop(name, sample, values(seed), fillers[name], score)
        for seed, sample in enumerate(samples)
        for name in METRICS
    ]
    return {"cpu_s": time.process_time() - start, "curves": torch.tensor(curves)}


def loop(name: str, sample: Sample, order: Tensor, filler: Any, score: Any) -> list[float]:
    """Go from one image to another, the most salient pixels first, one forward pass a step."""
    photo = sample.image[None].clone()
    filled = filler.for_sample(sample).fill(photo, torch.ones(1, 1, SIZE, SIZE).bool(), [0]).clone()
    current, final = (photo, filled) if name == "deletion" else (filled, photo)
    pixels = order.flatten().argsort(descending=True, stable=True)
    curve = [score(current, int(sample.label or 0))]
    for some in pixels.split(STEP):
        current.view(1, 3, -1)[..., some] = final.view(1, 3, -1)[..., some]
        curve.append(score(current, int(sample.label or 0)))
    return curve


if __name__ == "__main__":
    main()
