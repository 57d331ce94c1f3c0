"""How long does a fill take? Every filler, one hole at a time and 32 at once, as a run calls it.

    python -m benchmarks.fillers
    python -m benchmarks.fillers "deepfill filler.context=96" "torchscript filler.path=net.pt"
    python -m benchmarks.fillers --random-weights
    python -m benchmarks.fillers --device cuda --random-weights

Milliseconds a fill on an embedded photo, at 224 pixels unless --size says otherwise, for 29 px
squares, 53 px squares and half of about 60 superpixels: the median over calls of one hole, and over
the holes of calls of 32. gray, blur, mean_segment and others that do not read the hole are called
once a photo by a run.

On the CPU, networks run with their configured batch size. On a GPU, they see 32 holes at once, and
each is measured in float32 and in half precision: images a second, and how far the two agree. The
last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from statistics import median

import torch
from torch import Tensor

from benchmarks.components import altered, component, named_fillers, prepare
from benchmarks.filler_artifacts import draw_corners, squares
from genattr import environment, seeds
from genattr.errors import UserError
from genattr.filler.inpainting import Inpainter
from genattr.ops.superpixels import superpixels
from genattr.protocols import Filler
from genattr.types import Sample, SegmentHoles

OFFLINE = (
    "gray", "blur", "noise", "mean_segment", "mirror", "lightfill", "telea", "navier_stokes",
    "patchmatch",
)  # fmt: skip
KINDS = ("29", "53", "superpixels")
BATCH = 32
ENOUGH = 2.0  # seconds for one figure


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    told = "an option and its keys; all that need no weights if none is given"
    parser.add_argument("fillers", nargs="*", default=OFFLINE, help=told)
    told = "networks of the project, with random weights"
    parser.add_argument("--random-weights", action="store_true", help=told)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--calls", type=int, default=10, help="at most, each")
    parser.add_argument("--photo", type=int, default=3, help="of dataset=samples")
    parser.add_argument("--size", type=int, default=224, help="of the photo, in pixels")
    return parser.parse_args()


def holes_of(sample: Sample) -> dict[str, Tensor]:
    """Return 32 holes of each kind, the same in each process."""
    size = sample.image.shape[-1]
    generator = seeds.generator(0, sample.image_id, "benchmark")
    masks = {
        side: squares(draw_corners(int(side), size, generator)[:BATCH], int(side), size)
        for side in KINDS[:2]
    }
    segments = superpixels(sample.image, 60, 30.0, 3.0)
    removed = torch.rand(BATCH, int(segments.max()) + 1, generator=generator) < 0.5
    masks["superpixels"] = SegmentHoles(removed, segments)
    return {kind: holes.expand(slice(None)) for kind, holes in masks.items()}


def seconds(call: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def repeated(call: Callable[[int], object], device: torch.device, calls: int) -> float:
    """Return the median milliseconds of calls: so many, or as many as fit in two seconds."""
    spent: list[float] = []
    while len(spent) < calls and sum(spent) < ENOUGH:
        spent.append(seconds(lambda: call(len(spent)), device))
    return 1000 * median(spent)


def time_alone(filler: Filler, image: Tensor, holes: Tensor, calls: int) -> float:
    """Return milliseconds a call with one hole, another one each time."""

    def fill(call: int) -> Tensor:
        row = call % len(holes)
        return filler.fill(image, holes[row : row + 1], [row])

    return repeated(fill, image.device, calls)


def time_together(filler: Filler, image: Tensor, holes: Tensor, calls: int) -> float:
    """Return milliseconds a hole of calls with all holes."""
    images, rows = image.expand(len(holes), -1, -1, -1), range(len(holes))
    spent = repeated(lambda _: filler.fill(images, holes, rows), image.device, calls)
    return spent / len(holes)


def with_batch(filler: Filler, rows: int) -> Filler:
    """Let a network see so many holes at once."""
    return altered(filler, batch_size=rows) if isinstance(filler, Inpainter) else filler


def measure(
    filler: Filler, sample: Sample, holes: dict[str, Tensor], options: argparse.Namespace
) -> dict[str, float]:
    """Return milliseconds a fill by kind and batch."""
    device = torch.device(options.device)
    image, filler = sample.image[None].to(device), filler.for_sample(sample)
    large = with_batch(filler, BATCH) if device.type == "cuda" else filler
    filler.fill(image, holes["29"][:1].to(device), [0])  # loads, and warms up
    found = {}
    for kind, masks in holes.items():
        masks = masks.to(device)
        found[f"{kind} x 1"] = time_alone(filler, image, masks, options.calls)
        found[f"{kind} x {BATCH}"] = time_together(large, image, masks, options.calls)
    return found


def precisions(filler: Filler, sample: Sample, holes: dict[str, Tensor]) -> dict[str, float]:
    """Compare float32 and half precision on a GPU, 32 squares of 53 pixels at once."""
    device = torch.device("cuda")
    images = sample.image[None].to(device).expand(BATCH, -1, -1, -1)
    masks, large = holes["53"].to(device), with_batch(filler.for_sample(sample), BATCH)
    found, filled = {}, {}
    half = torch.autocast("cuda", dtype=torch.float16)
    for name, precision in (("float32", nullcontext()), ("half", half)):
        with precision:
            filled[name] = large.fill(images, masks, range(BATCH))  # warms up
            spent = seconds(lambda: large.fill(images, masks, range(BATCH)), device)
        found[f"{name} images/s"] = BATCH / spent
    apart = (filled["float32"] - filled["half"].float()).abs()[masks.expand_as(images)]
    return found | {
        "largest difference": float(apart.max()),
        "mean difference": float(apart.mean()),
    }


def lines(report: dict[str, dict[str, float]]) -> Iterator[str]:
    """Yield the rows of a Markdown table."""
    columns = list(next(iter(report.values())))
    yield "| filler | " + " | ".join(columns) + " |"
    yield "|---" * (len(columns) + 1) + "|"
    for name, found in report.items():
        yield f"| {name} | " + " | ".join(f"{found[column]:.4g}" for column in columns) + " |"


def rounded(report: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Keep four digits."""
    return {
        name: {key: float(f"{value:.4g}") for key, value in found.items()}
        for name, found in report.items()
    }


def main() -> None:
    options = parse()
    prepare(options.threads)
    dataset = component("dataset", "dataset=samples")
    sample = dataset.load(options.photo, options.size)
    holes = holes_of(sample)
    times, compared = {}, {}
    for name, filler in named_fillers(options.fillers, options.random_weights):
        try:
            times[name] = measure(filler, sample, holes, options)
            if options.device == "cuda" and isinstance(filler, Inpainter):
                compared[name] = precisions(filler, sample, holes)
        except UserError as error:
            print(f"left out: {name}: {error}")
    print(f"\nMilliseconds a fill, {sample.image_id} at {options.size} pixels, {options.device}\n")
    print("\n".join(lines(times)))
    if compared:
        print("\nFloat32 and half precision, 32 squares of 53 pixels at once\n")
        print("\n".join(lines(compared)))
    facts = environment.describe(torch.device(options.device))
    report = {"milliseconds": rounded(times), "precisions": rounded(compared), "machine": facts}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
