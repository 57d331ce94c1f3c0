"""Time the mask methods, and MP2 against the loop that one would write first.

    python -m benchmarks.mask_methods

That loop takes one image at a time, with gradients of the parameters,
batch norms as they are, the allocator as it is. Each in its own process, in turn, with the same
threads and steps; MP and FIDO beside them. Milliseconds a photo and step, the least of the rounds.
The last line is JSON; ``vs_naive`` is the naive loop's time over ours.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import cycle, islice
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.components import component, prepare, started
from genattr import config
from genattr.probe import Probe
from genattr.types import Sample

PHOTOS = 8
CELLS = 28
WORKERS = ("naive", "mp2", "mp2-g", "mp", "fido-ca")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--methods", nargs="+", choices=WORKERS, default=list(WORKERS))
    parser.add_argument("--threads", type=int, default=None, help="default: one a core")
    parser.add_argument("--worker", choices=WORKERS, help=argparse.SUPPRESS)
    return parser.parse_args()


@cache
def network_classifier() -> Any:
    return started()


@cache
def photos(size: int) -> list[Sample]:
    """Return the embedded photos, over and over, until there are enough."""
    dataset = component("dataset")
    return [dataset.load(index, size) for index in islice(cycle(range(len(dataset))), PHOTOS)]


def naive(steps: int) -> list[list[int]]:
    """Run MP2 image by image with timm's network as it comes; return the cells in the hole."""
    classifier, network = network_classifier(), plain_network()
    blur = component("filler", "filler=blur")
    mean, std = classifier.mean[0], classifier.std[0]
    return [naive_mp2(network, blur, sample, mean, std, steps) for sample in photos(224)]


@cache
def plain_network() -> torch.nn.Module:
    import timm

    network = timm.create_model("tf_efficientnet_lite0").eval()
    network.load_state_dict(network_classifier().build().state_dict())
    return network  # type: ignore[no-any-return]


def naive_mp2(
    network: torch.nn.Module, blur: object, sample: Sample, mean: float, std: float, steps: int
) -> list[int]:
    """Grow the hole of one photo by two cells a step."""
    image = sample.image[None]
    blurred = blur.fill(image, None, [])  # type: ignore[attr-defined]
    mask = torch.zeros(1, 1, CELLS, CELLS, requires_grad=True)
    for _ in range(steps):
        large = functional.interpolate(mask, size=image.shape[-1], mode="nearest")
        mixed = image * (1 - large) + blurred * large
        prob = network((mixed - mean) / std).softmax(1)[0, sample.label]
        network.zero_grad()
        mask.grad = None
        prob.backward()
        assert mask.grad is not None
        strength = mask.grad.abs().masked_fill(mask > 0, -1).flatten()
        with torch.no_grad():
            mask.view(-1)[strength.topk(2).indices] = 1
    return mask.flatten().nonzero().flatten().tolist()  # type: ignore[no-any-return]


def ours(name: str, steps: int) -> list[list[int]]:
    """Run one of our methods for so many steps on the same photos."""
    key = "max_steps" if name.startswith("mp2") else "steps"
    chosen, filler = components(name)
    method = replace(chosen, **{key: steps})
    classifier = network_classifier()
    probes = [
        Probe(sample, int(sample.label or 0), classifier, filler)
        for sample in photos(classifier.input_size)
    ]
    if not hasattr(method, "explain_many"):
        return [cells(method.explain(probe).values) for probe in probes]
    found = {id(probe): heatmap for probe, heatmap in method.explain_many(probes)}
    return [cells(found[id(probe)].values) for probe in probes]


@cache
def components(name: str) -> tuple[Any, Any]:
    """Return a method that never stops early, and its filler."""
    overrides = [f"method={name}", *(["method.stop=0"] if name.startswith("mp2") else [])]
    return component("method", *overrides), component("filler", *overrides)


def cells(values: Tensor) -> list[int]:
    return (values > 0).flatten().nonzero().flatten().tolist()  # type: ignore[no-any-return]


def work(name: str, steps: int, threads: int | None) -> None:
    """Run in a process of its own; print the seconds and the cells."""
    if name == "naive":
        config.register()
        if threads is not None:
            torch.set_num_threads(threads)
        run: Callable[[int], list[list[int]]] = naive
    else:
        prepare(threads)

        def run(steps: int) -> list[list[int]]:
            return ours(name, steps)

    run(1)
    wall, cpu = time.perf_counter(), time.process_time()
    found = run(steps)
    times = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    print(json.dumps(times | {"cells": found}))


def measure(name: str, options: argparse.Namespace) -> dict[str, list[float]]:
    command = [sys.executable, "-m", "benchmarks.mask_methods", "--worker", name]
    command += ["--steps", str(options.steps)]
    command += ["--threads", str(options.threads)] if options.threads else []
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def agreement(one: list[list[int]], other: list[list[int]]) -> float:
    """Return the share of cells on which two sets of holes agree."""
    differing = sum(len(set(a) ^ set(b)) for a, b in zip(one, other, strict=True))
    return 1 - differing / (len(one) * CELLS**2)


def main() -> None:
    options = parse()
    if options.worker:
        work(options.worker, options.steps, options.threads)
        return
    least: dict[str, dict[str, float]] = defaultdict(lambda: {"wall": 1e9, "cpu": 1e9})
    holes = {}
    for _ in range(options.rounds):
        for name in options.methods:
            found = measure(name, options)
            holes[name] = found["cells"]
            for kind in ("wall", "cpu"):
                a_step = 1000 * found[kind] / PHOTOS / options.steps  # type: ignore[operator]
                least[name][kind] = min(least[name][kind], a_step)
            print(f"{name:8s} " + "  ".join(f"{k} {v:.1f} ms" for k, v in least[name].items()))
    report: dict[str, Any] = {
        "ms_per_photo_and_step": least,
        "steps": options.steps,
        "threads": options.threads or torch.get_num_threads(),
    }
    if {"naive", "mp2"} <= set(options.methods):
        report["vs_naive"] = {k: least["naive"][k] / least["mp2"][k] for k in ("wall", "cpu")}
        report["agreement_of_cells"] = agreement(holes["naive"], holes["mp2"])
    print(json.dumps(report))


if __name__ == "__main__":
    main()
