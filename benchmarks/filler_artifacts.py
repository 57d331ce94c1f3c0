"""How much does the filler alone move the probability? The table of fillers without any method.

    python -m benchmarks.filler_artifacts --root /path/to/imagenet --photos 200

For each photo: 29 px squares beside the object and on it, 53 px squares anywhere, and half of
about 60 superpixels; the mean |s(x) - s(x_bar)| of the photo's class, lower = fewer artifacts.
Holes depend on photo and seed alone, so all fillers see the same ones. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator

import torch
from rich.progress import track
from torch import Tensor

from benchmarks import split
from benchmarks.components import component, named_fillers, prepare
from genattr import seeds
from genattr.analysis.statistics import estimate
from genattr.ops.superpixels import superpixels
from genattr.probe import Probe
from genattr.protocols import Classifier, Filler
from genattr.types import DenseHoles, Holes, RectangleHoles, Sample, SegmentHoles

KINDS = ("29 off", "29 on", "53", "superpixels")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", required=True, help="the ImageNet tree")
    parser.add_argument("--part", choices=split.PARTS, help="of that tree; see benchmarks.split")
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--holes", type=int, default=4, help="holes of each kind a photo")
    parser.add_argument("--fillers", default="gray,blur,telea,mirror,lightfill")
    parser.add_argument("--classifiers", default="efficientnet_lite0,efficientnet_lite2")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    return parser.parse_args()


def squares(corners: Tensor, side: int, size: int) -> RectangleHoles:
    return RectangleHoles(torch.cat([corners, corners + side], dim=1), size)


def draw_corners(side: int, size: int, generator: torch.Generator) -> Tensor:
    return torch.randint(0, size - side + 1, (2000, 2), generator=generator)


def misses(corners: Tensor, side: int, boxes: Tensor) -> Tensor:
    """Say which squares touch none of the boxes."""
    low = corners[:, None] >= boxes[None, :, 2:]
    high = corners[:, None] + side <= boxes[None, :, :2]
    return (low | high).any(dim=2).all(dim=1)


def is_centered_in(corners: Tensor, side: int, boxes: Tensor) -> Tensor:
    """Say which squares have their middle in a box."""
    middle = corners[:, None] + side / 2
    return ((middle >= boxes[None, :, :2]) & (middle < boxes[None, :, 2:])).all(dim=2).any(dim=1)


def holes_of(sample: Sample, count: int, seed: int) -> Iterator[tuple[str, Holes]]:
    """Yield the holes of each kind; a kind that the photo has no room for is left out."""
    size = sample.image.shape[-1]
    generator = seeds.generator(seed, sample.image_id, "artifacts")
    small, large = draw_corners(29, size, generator), draw_corners(53, size, generator)
    if sample.boxes is not None:
        for kind, where in (("29 off", misses), ("29 on", is_centered_in)):
            corners = small[where(small, 29, sample.boxes)][:count]
            if len(corners):
                yield kind, squares(corners, 29, size)
    yield "53", squares(large[:count], 53, size)
    segments = superpixels(sample.image, 60, 30.0, 3.0)
    removed = torch.rand(count, int(segments.max()) + 1, generator=generator) < 0.5
    yield "superpixels", SegmentHoles(removed, segments)


def measure(
    classifier: Classifier, fillers: dict[str, Filler], samples: Iterator[Sample], options: object
) -> tuple[dict[tuple[str, str], list[float]], dict[str, list[float]]]:
    drops, times = defaultdict(list), defaultdict(list)
    for sample in samples:
        kinds = dict(holes_of(sample, options.holes, options.seed))
        masks = [holes.expand(slice(None)) for holes in kinds.values()]
        together = DenseHoles(torch.cat(masks))
        for name, filler in fillers.items():
            probe = Probe(sample, sample.label, classifier, filler, batch_size=16)
            change = (probe.score(together) - probe.original).abs()
            for kind, part in zip(kinds, change.split([len(m) for m in masks]), strict=True):
                drops[name, kind].append(float(part.mean()))
            start = time.perf_counter()
            probe.with_filler(filler).fill(together.masks[:1])
            times[name].append(1000 * (time.perf_counter() - start))
    return drops, times


def main() -> None:
    options = parse()
    prepare(options.threads)
    root = f"dataset.root={options.root}"
    dataset = component("dataset", "dataset=imagenet", root, "dataset.resize=null")
    fillers = dict(named_fillers(options.fillers.split(","), with_random_weights=False))
    part = split.indices(dataset.ids, options.part)
    order = torch.randperm(len(part), generator=seeds.generator(options.seed, "photos"))
    chosen = [part[index] for index in order[: options.photos].tolist()]
    report = {}
    for name in options.classifiers.split(","):
        classifier = component("classifier", f"classifier={name}")
        samples = (dataset.load(i, classifier.input_size) for i in track(chosen, description=name))
        drops, times = measure(classifier, fillers, samples, options)
        print(f"\n{name}, {len(chosen)} photos: mean |s(x) - s(x_bar)| [95 % interval]\n")
        print("| filler | " + " | ".join(KINDS) + " | ms a fill |")
        print("|---" * (len(KINDS) + 2) + "|")
        for filler in fillers:
            cells = [estimate(drops[filler, kind]) for kind in KINDS]
            told = [f"{c.mean:.3f} [{c.low:.3f}, {c.high:.3f}]" for c in cells]
            ms = sorted(times[filler])[len(times[filler]) // 2]
            print(f"| {filler} | " + " | ".join(told) + f" | {ms:.1f} |")
            report[f"{name}/{filler}"] = {
                kind: round(c.mean, 4) for kind, c in zip(KINDS, cells, strict=True)
            }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
