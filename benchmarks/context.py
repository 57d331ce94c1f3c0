"""What ``filler.context`` saves, and what it changes.

    python -m benchmarks.context                                  # random weights: no heatmaps
    python -m benchmarks.context deepfill --photos 6 --stride 12  # with weights: also the heatmaps

A network that sees a window around the hole instead of the whole photo is faster and paints
something else. By the window's margin in pixels of the network's frame:

- the side of the window and milliseconds a fill for 29 px squares, the method SP-G's: the median
  over rounds in which the margins take turns, and the share of the whole photo's;
- how far the fill moves: mean |f - f_full| over the hole's pixels, of values in [0, 1]; and how far
  it moves when the network sees everything but all beyond the margin is another photo's: what of
  the fill hangs on what a window does not show;
- with weights, how far SP-G's heatmaps move: Spearman and Pearson correlation with those of the
  whole photo, mean and 95 % interval over the photos; ``--stride`` thins the windows out.

With random weights the second point tells that the far pixels do reach the fill, not how much they
matter, and the third means nothing, so it is left out. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from statistics import median

import numpy as np
import torch
from rich.progress import track
from scipy.stats import pearsonr, spearmanr
from torch import Tensor

from benchmarks import random_weights, split
from benchmarks.components import altered, component, named_fillers, prepare
from benchmarks.filler_artifacts import draw_corners, squares
from genattr import seeds
from genattr.analysis.statistics import estimate
from genattr.filler.inpainting import Inpainter, dilated, windows_around
from genattr.probe import Probe
from genattr.protocols import Dataset
from genattr.types import Sample

SIDE = 29  # of the holes, in pixels of the photo


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    told = "an inpainter's option and its keys, such as 'deepfill filler.checkpoint=folder'"
    parser.add_argument("filler", nargs="?", help=told)
    parser.add_argument("--contexts", default="32,64,96,128")
    parser.add_argument("--photos", type=int, default=6, help="at least 2")
    parser.add_argument("--root", help="an ImageNet tree instead of the embedded photos")
    parser.add_argument("--part", choices=split.PARTS, help="of that tree; see benchmarks.split")
    parser.add_argument("--holes", type=int, default=4, help="a photo")
    parser.add_argument("--rounds", type=int, default=10, help="of the timing")
    parser.add_argument("--together", type=int, default=1, help="holes in a call that is timed")
    parser.add_argument("--stride", type=int, default=12, help="of SP-G's windows")
    parser.add_argument("--classifier", default="efficientnet_lite0")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.photos < 2:
        parser.error("--photos must be at least 2: one is put beyond the other's margin")
    return options


def holes_of(sample: Sample, count: int) -> Tensor:
    size = sample.image.shape[-1]
    generator = seeds.generator(0, sample.image_id, "context")
    return squares(draw_corners(SIDE, size, generator)[:count], SIDE, size).expand(slice(None))


def timed(
    inpainters: dict[str, Inpainter], sample: Sample, rounds: int, together: int
) -> dict[str, float]:
    """Return the median milliseconds a fill; rounds in which all take turns, after a first one."""
    images, numbers = sample.image.expand(together, -1, -1, -1), range(together)
    calls = holes_of(sample, (rounds + 1) * together).split(together)
    spent = defaultdict(list)
    for hole in calls:
        for name, one in inpainters.items():
            start = time.perf_counter()
            one.fill(images, hole, numbers)
            spent[name].append(1000 * (time.perf_counter() - start) / together)
    return {name: median(values[1:]) for name, values in spent.items()}


def window_side(inpainter: Inpainter, size: int) -> int:
    """Return the side of what the network sees for a hole in the middle of a photo."""
    frame = inpainter.size or size
    side = round(SIDE * frame / size)
    hole = torch.zeros(1, 1, frame, frame, dtype=torch.bool)
    hole[..., (frame - side) // 2 :, (frame - side) // 2 :][..., :side, :side] = True
    if inpainter.context is None:
        return frame
    *_, sizes = windows_around(hole, int(inpainter.context), inpainter.convention.multiple)
    return sizes[0][0]


def apart(first: Tensor, second: Tensor, hole: Tensor) -> float:
    """Return the mean difference over the hole's pixels."""
    return float((first - second).abs()[hole.expand_as(first)].mean())


def moves(
    whole: Inpainter, part: Inpainter, photos: list[Sample], count: int
) -> tuple[float, float]:
    """Compare fills: a window's, and those with another photo beyond it, with the whole photo's."""
    windowed, swapped, numbers = [], [], range(count)
    for sample, other in zip(photos, [*photos[1:], photos[0]], strict=True):
        hole, size = holes_of(sample, count), sample.image.shape[-1]
        images = sample.image.expand(count, -1, -1, -1)
        near = dilated(hole, round(int(part.context) * size / (whole.size or size)))
        full = whole.fill(images, hole, numbers)
        windowed.append(apart(part.fill(images, hole, numbers), full, hole))
        swapped.append(
            apart(whole.fill(torch.where(near, images, other.image), hole, numbers), full, hole)
        )
    return float(np.mean(windowed)), float(np.mean(swapped))


def heatmaps(
    inpainters: dict[str, Inpainter], photos: list[Sample], options: argparse.Namespace
) -> dict[str, dict[str, list[float]]]:
    """Correlate SP-G's heatmaps by windows with those by the whole photo."""
    classifier = component("classifier", f"classifier={options.classifier}")
    method = component("method", "method=sp-g", f"method.stride={options.stride}")
    found = {name: {"spearman": [], "pearson": []} for name in inpainters if name != "full"}
    for sample in track(photos, description="heatmaps"):
        maps = {
            name: method.explain(
                Probe(sample, sample.label, classifier, inpainter)
            ).values.flatten()
            for name, inpainter in inpainters.items()
        }
        for name, scores in found.items():
            scores["spearman"].append(float(spearmanr(maps[name], maps["full"]).statistic))
            scores["pearson"].append(float(pearsonr(maps[name], maps["full"]).statistic))
    return found


def dataset_of(options: argparse.Namespace) -> Dataset:
    if options.root is None:
        return component("dataset", "dataset=samples")
    return component("dataset", "dataset=imagenet", f"dataset.root={options.root}")


def table(
    inpainters: dict[str, Inpainter], photos: list[Sample], options: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Measure and print speed and differences by context."""
    report, ms = {}, timed(inpainters, photos[0], options.rounds, options.together)
    print("| context | window | ms a fill | share | f moves | f moves, other photo beyond |")
    print("|---|---|---|---|---|---|")
    for name, one in inpainters.items():
        share = ms[name] / ms["full"]
        found = {
            "window": window_side(one, 224),
            "ms": round(ms[name], 2),
            "share": round(share, 3),
        }
        told = "| |"
        if name != "full":
            part, beyond = moves(inpainters["full"], one, photos, options.holes)
            found |= {"moves": round(part, 5), "moves beyond": round(beyond, 5)}
            told = f"{part:.4f} | {beyond:.4f} |"
        print(f"| {name} | {found['window']} | {ms[name]:.0f} | {share:.2f} | {told}", flush=True)
        report[name] = found
    return report


def main() -> None:
    options = parse()
    prepare(options.threads)
    dataset = dataset_of(options)
    chosen = split.indices(dataset.ids, options.part)[: options.photos]
    photos = [dataset.load(index, 224) for index in chosen]
    inpainter = random_weights.inpainter("deepfill")
    if options.filler:
        _, inpainter = next(named_fillers([options.filler], with_random_weights=False))
    whole = altered(inpainter, context=None)
    whole.fill(photos[0].image[None], holes_of(photos[0], 1), [0])  # loads the network
    margins = [int(one) for one in options.contexts.split(",")]
    inpainters = {"full": whole} | {str(one): altered(whole, context=one) for one in margins}
    report = table(inpainters, photos, options)
    if options.filler:
        for name, scores in heatmaps(inpainters, photos, options).items():
            for score, values in scores.items():
                mean = estimate(values)
                print(f"{name}: {score} {mean.mean:.4f} [{mean.low:.4f}, {mean.high:.4f}]")
                report[name][score] = round(mean.mean, 5)
    print(json.dumps({"filler": options.filler or "deepfill, random weights", **report}))


if __name__ == "__main__":
    main()
