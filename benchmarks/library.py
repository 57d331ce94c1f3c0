"""``genattr.explain`` of a network, against Captum's Occlusion with the same windows.

    python -m benchmarks.library --rounds 3 --stride 13
    python -m benchmarks.library --short

Both explain one photo by Sliding-Patch with gray holes, in turn in one process and on one thread;
CPU seconds count. Ours are those of the whole call: the configuration is composed, the network
copied and checked, the engine compared with the dense path, all anew in ``first`` and found again
in ``second``. Captum has the best of its settings and nothing to check. Fails if the maps disagree.
The last line is JSON; a ratio says how many times longer Captum takes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks.occlusion import (
    CLASSIFIERS,
    FEW,
    LARGEST_DIFFERENCE,
    PATCH,
    PER_EVAL,
    STRIDES,
    captum_occlusion,
    per_pixel,
    photo,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stride", type=int, choices=(*STRIDES, FEW), default=13)
    parser.add_argument("--models", default=",".join(CLASSIFIERS))
    parser.add_argument("--short", action="store_true", help="one round at stride 15")
    options = parser.parse_args()
    if options.short:
        options.rounds, options.stride = 1, 15
    torch.set_num_threads(1)
    report = {
        name: compare(name, options.rounds, options.stride) for name in options.models.split(",")
    }
    print(json.dumps({"stride": options.stride, "rounds": options.rounds, "threads": 1} | report))


def compare(name: str, rounds: int, stride: int) -> dict[str, Any]:
    """Explain in turn, and report ratios of the medians."""
    from benchmarks.components import component
    from genattr import config

    config.register()
    classifier, sample = component("classifier", *CLASSIFIERS[name]), photo()
    attribute = captum_occlusion(classifier, sample)
    best = min(PER_EVAL, key=lambda count: timed(lambda: attribute(FEW, count))[0])
    explain = library(classifier, sample, stride)
    explain()  # imports
    cpu: dict[str, list[float]] = {"first": [], "second": [], "captum": []}
    for _ in range(rounds):
        forget()
        ours, found = timed(explain)
        again, _ = timed(explain)
        theirs, expected = timed(lambda: attribute(stride, best)[0, 0].clone())
        for way, seconds in zip(cpu, (ours, again, theirs), strict=True):
            cpu[way].append(seconds)
    difference = float((per_pixel(found, stride, expected.shape[-1]) - expected).abs().max())
    assert difference < LARGEST_DIFFERENCE[name], f"{name}: the maps differ by {difference}"
    seconds = {way: round(median(values), 2) for way, values in cpu.items()}
    ratios = {way: round(seconds["captum"] / seconds[way], 2) for way in ("first", "second")}
    return {"windows": found.numel(), "cpu_s": seconds, "vs_captum": ratios, "per_eval": best}


def library(classifier: Any, sample: Any, stride: int) -> Callable[[], Tensor]:
    """Return our call, of the network as its library builds it."""
    import genattr
    from genattr import seeds

    with seeds.fixed(0):
        network = classifier.build().eval()
    statistics = {"mean": list(classifier.mean), "std": list(classifier.std)}
    settings = {"method": "sp", "filler": "gray", "patch_size": PATCH, "stride": stride}

    def explain() -> Tensor:
        found = genattr.explain(
            sample.image, network, sample.label, threads=1, progress=False, **statistics, **settings
        )
        return found.values

    return explain


def forget() -> None:
    """Forget what calls keep for the next one."""
    from genattr.library import models, options, studies
    from genattr.run import experiment

    models._KEPT.clear()
    cached = (options._composed, options._options, studies._part)
    for function in (*cached, experiment._classifier, experiment._engine):
        function.cache_clear()


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


if __name__ == "__main__":
    main()
