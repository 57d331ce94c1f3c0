"""Does a filler hide the object and leave the rest believable? Without any method.

    python -m benchmarks.selectivity --root ../shared/data/imagenet-val-300

Two things are removed from each photo: the labeled boxes of its object, and background, half of the
square cells that touch no box. What is told is the share of the class's probability that stays,
s(x_bar) / s(x): low where the object is hidden, high where the rest stays believable, and the gap
between both. Photos count whose label is the classifier's first choice and that have enough
background. Holes depend on photo and seed alone, so all fillers see the same ones. ``--write``
keeps what stays of each photo. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import torch
from rich.progress import track
from torch import Tensor

from benchmarks import split
from benchmarks.components import component, named_fillers, prepare
from benchmarks.filler_artifacts import misses, squares
from benchmarks.fillers import OFFLINE
from genattr import seeds
from genattr.analysis.statistics import Estimate, estimate, paired
from genattr.probe import Probe
from genattr.protocols import Classifier, Dataset, Filler
from genattr.types import DenseHoles, RectangleHoles, Sample

FILLERS = [name for name in OFFLINE if name != "patchmatch"]
REMOVED = ("object", "background", "gap")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", help="an ImageNet tree instead of the embedded photos")
    parser.add_argument("--part", choices=split.PARTS, default="choices", help="of that tree")
    parser.add_argument("--photos", type=int, help="at most so many; all, if not given")
    parser.add_argument("--holes", type=int, default=4, help="draws of background a photo")
    parser.add_argument("--cell", type=int, default=8, help="side of a cell, in pixels")
    told = "share of a photo that its cells of background make up, at least"
    parser.add_argument("--background", type=float, default=0.125, help=told)
    parser.add_argument("--fillers", nargs="*", default=FILLERS, help="an option and its keys")
    parser.add_argument("--classifiers", default="efficientnet_lite0,efficientnet_lite2")
    parser.add_argument("--against", default="lightfill", help="whose gap others' are paired with")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--write", type=Path, help="a .parquet file for what stays of each photo")
    return parser.parse_args()


def object_hole(sample: Sample) -> Tensor:
    """Return (1, 1, D, D): all labeled boxes."""
    size = sample.image.shape[-1]
    low, high = sample.boxes[:, :2].floor(), sample.boxes[:, 2:].ceil()
    boxes = torch.cat([low, high], dim=1).clamp(0, size).long()
    return RectangleHoles(boxes, size).expand(slice(None)).any(dim=0, keepdim=True)


def background_holes(sample: Sample, options: argparse.Namespace) -> Tensor | None:
    """Return (n, 1, D, D): each time half of the cells beside the boxes; None: too few cells."""
    size, side = sample.image.shape[-1], options.cell
    first = torch.arange(0, size - side + 1, side)
    corners = torch.cartesian_prod(first, first)
    beside = corners[misses(corners, side, sample.boxes)]
    if len(beside) < max(2, options.background * len(corners)):
        return None
    generator = seeds.generator(options.seed, sample.image_id, "selectivity")
    cells = squares(beside, side, size).expand(slice(None))
    order = torch.rand(options.holes, len(beside), generator=generator).argsort(dim=1)
    return torch.stack([cells[some].any(dim=0) for some in order[:, : len(beside) // 2]])


def is_recognized(sample: Sample, classifier: Classifier) -> bool:
    with torch.no_grad():
        return int(classifier(sample.image[None]).argmax()) == sample.label


def measure(
    classifier: Classifier,
    fillers: dict[str, Filler],
    samples: Iterable[Sample],
    options: argparse.Namespace,
) -> pd.DataFrame:
    """Return what stays of each photo by each filler: the share, by what is removed."""
    shares = []
    for sample in samples:
        if sample.boxes is None or not is_recognized(sample, classifier):
            continue
        background = background_holes(sample, options)
        if background is None:
            continue
        holes = DenseHoles(torch.cat([object_hole(sample), background]))
        for name, filler in fillers.items():
            probe = Probe(sample, sample.label, classifier, filler, batch_size=1 + options.holes)
            stays = probe.score(holes) / probe.original
            hidden, kept = float(stays[0]), float(stays[1:].mean())
            shares.append((sample.image_id, name, hidden, kept, kept - hidden))
    return pd.DataFrame(shares, columns=["image_id", "filler", *REMOVED])


def table(shares: pd.DataFrame, against: str) -> dict[str, dict[str, float]]:
    """Print and return means with their intervals, and gaps less that of one filler."""
    print(f"| filler | object removed | background removed | gap | gap less that of {against} |")
    print("|---|---|---|---|---|")
    report = {}
    by_filler = {str(name): found for name, found in shares.groupby("filler", sort=False)}
    for name, found in by_filler.items():
        cells = {what: estimate(found[what].tolist()) for what in REMOVED}
        other = by_filler.get(against, found)["gap"]
        less = paired(found["gap"].tolist(), other.tolist(), better="higher")
        told = [*map(interval, cells.values()), "" if name == against else interval(less)]
        print(f"| {name} | " + " | ".join(told) + " |", flush=True)
        report[name] = {what: round(cell.mean, 4) for what, cell in cells.items()}
        report[name] |= {
            "gap low": round(cells["gap"].low, 4),
            "gap high": round(cells["gap"].high, 4),
            "photos": cells["gap"].n,
        }
    return report


def interval(found: Estimate) -> str:
    return f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"


def photos_of(options: argparse.Namespace) -> tuple[Dataset, list[int]]:
    if options.root is None:
        dataset = component("dataset", "dataset=samples")
        return dataset, list(range(len(dataset)))[: options.photos]
    root = f"dataset.root={options.root}"
    dataset = component("dataset", "dataset=imagenet", root, "dataset.resize=null")
    return dataset, split.indices(dataset.ids, options.part)[: options.photos]


def main() -> None:
    options = parse()
    prepare(options.threads)
    dataset, chosen = photos_of(options)
    fillers = dict(named_fillers(options.fillers, with_random_weights=False))
    report, all_shares = {}, []
    for name in options.classifiers.split(","):
        classifier = component("classifier", f"classifier={name}")
        samples = (dataset.load(i, classifier.input_size) for i in track(chosen, description=name))
        shares = measure(classifier, fillers, samples, options)
        print(f"\n{name}: share of the probability that stays [95 % interval]\n")
        report[name] = table(shares, options.against)
        all_shares.append(shares.assign(classifier=name))
    if options.write:
        pd.concat(all_shares).to_parquet(options.write, index=False, compression="zstd")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
