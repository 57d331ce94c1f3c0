"""A Sliding-Patch map, against Captum's Occlusion and against our own dense path.

    python -m benchmarks.occlusion --rounds 3 --stride 3
    python -m benchmarks.occlusion --short

Each map runs in a process of its own, in turn with the others, on one thread; CPU seconds of the
map count, without imports, weights and the engine's start-up check. Captum runs as people run it:
the network as the library builds it, the default allocator, the best of its settings. Fails if the
incremental engine does not run, or if the maps disagree. The last line is JSON. In it,
``multiply_adds`` says how many times fewer of them the incremental engine has than the dense path,
and ``gflop_per_s`` what each reaches of the core's rate for large matrix products, ``gemm``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks import turns

MODULE = "benchmarks.occlusion"
PATCH = 29
CLASSIFIERS = {
    "lite0": ["classifier=efficientnet_lite0"],
    "resnet50": ["classifier=resnet50_imagenet", "classifier.weights=null"],
}
FEW = 26  # stride at which Captum's settings are tried
STRIDES = (3, 5, 13, 15)  # at others Captum's last windows are cut off at the border, ours not
PER_EVAL = (1, 16, 32)
JOBS = {"lite0 gray": True, "resnet50 gray": True, "lite0 mirror": False}  # Captum cannot inpaint
LARGEST_DIFFERENCE = {"lite0": 1e-5, "resnet50": 1e-4}  # of a probability


def main() -> None:
    parser = turns.parser(str(__doc__))
    parser.add_argument(
        "--stride", type=int, choices=(*STRIDES, FEW), default=3, help="13 where --short"
    )
    parser.add_argument("--jobs", default=",".join(JOBS))
    options = parser.parse_args()
    if options.short:
        options.rounds, options.stride = 1, 13
    if turns.worked(options, lambda way: work(way, options.jobs, options.stride)):
        return
    report = {job: compare(job, options.rounds, options.stride) for job in options.jobs.split(",")}
    print(json.dumps({"stride": options.stride, "rounds": options.rounds, "threads": 1} | report))


def compare(job: str, rounds: int, stride: int) -> dict[str, Any]:
    """Run all ways in turn, and report ratios of the medians."""
    ways = ["incremental", "dense", *([fastest_captum(job)] if JOBS[job] else [])]
    found = turns.in_turn(MODULE, ways, rounds, "--jobs", job, "--stride", str(stride))
    cpu = turns.cpu_seconds(found, job)
    return summary(job, stride, {way: results[0] for way, results in found.items()}, cpu)


def fastest_captum(job: str) -> str:
    """Try Captum's settings on few windows."""
    few = ("--jobs", job, "--stride", str(FEW))
    cpu = {way: turns.run(MODULE, way, *few)["cpu_s"] for way in (f"captum-{n}" for n in PER_EVAL)}
    print(f"{job:14} at stride {FEW}: {cpu}")
    return min(cpu, key=cpu.__getitem__)


def summary(
    job: str, stride: int, first: dict[str, dict[str, Any]], cpu: dict[str, float]
) -> dict[str, Any]:
    """Compare times and maps; fail if the maps disagree or the engine did not run."""
    ours = first["incremental"]
    assert ours["engine"] == "incremental"
    agreement = {"dense": float((ours["drop"] - first["dense"]["drop"]).abs().max())}
    best = next((way for way in cpu if way.startswith("captum")), None)
    if best:
        spread_out = per_pixel(ours["drop"], stride, first[best]["map"].shape[-1])
        agreement["captum"] = float((spread_out - first[best]["map"]).abs().max())
    limit = LARGEST_DIFFERENCE[job.split()[0]]
    assert max(agreement.values()) < limit, f"{job}: the maps differ by {agreement}"
    seconds = {way: round(value, 2) for way, value in cpu.items()}
    report = {"engine": ours["engine"], "windows": ours["drop"].numel(), "cpu_s": seconds}
    report |= {"vs_dense": round(cpu["dense"] / cpu["incremental"], 2)}
    report |= {"vs_captum": round(cpu[best] / cpu["incremental"], 2), "best": best} if best else {}
    report |= {"fill_share": round(ours["fill_cpu_s"] / ours["cpu_s"], 3)}
    report |= {"start_cpu_s": round(ours["start_cpu_s"], 2), "largest_difference": agreement}
    return report | arithmetic(first, cpu)


def arithmetic(first: dict[str, dict[str, Any]], cpu: dict[str, float]) -> dict[str, Any]:
    """Compare the ways by multiply-adds, and their rate with that of large matrix products."""
    work = {way: first[way]["multiply_adds"] for way in ("dense", "incremental")}
    rates = {way: round(2 * work[way] / cpu[way] / 1e9, 1) for way in work}
    rates["gemm"] = round(first["incremental"]["gemm"] / 1e9, 1)
    ratio = round(work["dense"] / work["incremental"], 2)
    return {"multiply_adds": ratio, "gflop_per_s": rates}


def per_pixel(drop: Tensor, stride: int, size: int) -> Tensor:
    """Give each pixel the mean of the windows over it, as Captum does."""
    total, count = torch.zeros(size, size), torch.zeros(size, size)
    for row, values in enumerate(drop):
        for column, value in enumerate(values):
            window = (
                slice(row * stride, row * stride + PATCH),
                slice(column * stride, column * stride + PATCH),
            )
            total[window] += value
            count[window] += 1
    return total / count.clamp(min=1)


def work(way: str, job: str, stride: int) -> dict[str, Any]:
    name, filler = job.split()
    if way.startswith("captum"):
        return captum_map(name, stride, int(way.partition("-")[2]))
    return own_map(way, name, filler, stride)


def captum_map(name: str, stride: int, per_eval: int) -> dict[str, Any]:
    from benchmarks.components import component
    from genattr import config

    config.register()
    classifier, sample = component("classifier", *CLASSIFIERS[name]), photo()
    attribute = captum_occlusion(classifier, sample)
    start = time.process_time()
    found = attribute(stride, per_eval)
    return {"cpu_s": time.process_time() - start, "map": found[0, 0].clone()}


def captum_occlusion(
    classifier: Any, sample: Any, device: torch.device | str = "cpu"
) -> Callable[[int, int], Tensor]:
    """Prepare Captum's map of a photo, with its network as people run it.

    Returns
    -------
    From the stride, and how many windows are scored at a time, to the (1, 3, D, D) map.
    """
    from captum.attr import Occlusion

    from genattr import seeds
    from genattr.filler.base import IMAGENET_MEAN, channels

    with seeds.fixed(0):
        network = classifier.build().eval().to(device)
    mean, std = (torch.tensor(list(x)).view(1, -1, 1, 1) for x in (classifier.mean, classifier.std))
    images = (sample.image[None] - mean) / std
    gray = (channels(IMAGENET_MEAN, images) - mean) / std
    occlusion = Occlusion(lambda x: network(x).softmax(1))

    @torch.no_grad()
    def attribute(stride: int, per_eval: int) -> Tensor:
        found: Tensor = occlusion.attribute(
            images.to(device),
            sliding_window_shapes=(3, PATCH, PATCH),
            strides=(3, stride, stride),
            baselines=gray.expand_as(images).to(device),
            target=sample.label,
            perturbations_per_eval=per_eval,
        )
        return found

    return attribute


def own_map(way: str, name: str, filler: str, stride: int) -> dict[str, Any]:
    from benchmarks.components import component, prepare, started
    from genattr.engine.choose import Engine
    from genattr.method.sp import windows
    from genattr.probe import Probe

    prepare(threads=1)
    classifier, sample = started(*CLASSIFIERS[name]), photo()
    start = time.process_time()
    engine = Engine(way, classifier, 32)
    running = "incremental" if engine.is_incremental else "dense"
    start_cpu = time.process_time() - start
    stopwatch = Stopwatch(component("filler", f"filler={filler}"))
    probe = Probe(sample, sample.label, classifier, stopwatch, engine=engine)
    start = time.process_time()
    holes = windows(probe.size, PATCH, stride)
    drop = probe.original - probe.score(holes)
    return {
        "cpu_s": time.process_time() - start,
        "fill_cpu_s": stopwatch.seconds,
        "start_cpu_s": start_cpu,
        "engine": running,
        "drop": drop.view(round(len(holes) ** 0.5), -1),
        "multiply_adds": multiply_adds(engine, holes.boxes, running),
        "gemm": gemm(),
    }


def multiply_adds(engine: Any, boxes: Tensor, running: str) -> int:
    """Count those of all windows."""
    steps = engine.graph.steps
    if running == "dense":
        return len(boxes) * (sum(step.cost for step in steps) + engine.graph.head_cost)
    total = len(boxes) * engine.graph.head_cost
    for batch in engine.batches(boxes):
        for step, whole, cuts in zip(steps, batch.whole, batch.cuts, strict=True):
            if step.cost:
                total += len(batch.rows) * round(step.cost * (1.0 if whole else share(step, cuts)))
    return total


def share(step: Any, cuts: Any) -> float:
    """Return how much of its map a sliding step computes."""
    found = 1.0
    for kernel, part in zip(step.operation.kernels, (cuts[0].down, cuts[0].across), strict=True):
        found *= ((part.width - kernel.span) // kernel.stride + 1) / kernel.result
    return found


def gemm() -> float:
    """Return the operations a second that this core reaches in large matrix products."""
    one = torch.rand(1024, 1024)
    one @ one
    start = time.process_time()
    for _ in range(10):
        one @ one
    return 10 * 2 * 1024**3 / (time.process_time() - start)


class Stopwatch:
    """A filler whose CPU time is taken."""

    def __init__(self, filler: Any) -> None:
        self.filler, self.seconds = filler, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.filler, name)

    def for_sample(self, sample: Any) -> Stopwatch:
        self.filler = self.filler.for_sample(sample)
        return self

    def fill(self, *given: Any) -> Tensor:
        start = time.process_time()
        filled: Tensor = self.filler.fill(*given)
        self.seconds += time.process_time() - start
        return filled


def photo() -> Any:
    from benchmarks.components import component

    return component("dataset").load(0, 224)


if __name__ == "__main__":
    main()
