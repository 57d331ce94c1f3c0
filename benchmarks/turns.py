"""Ways to do the same work, each in a fresh process and in turn: what CPU time they take.

A benchmark takes its command line from ``parser``, its results from ``in_turn``; ``worked`` does
one way's work where the process was started for that.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

Result = dict[str, Any]  # cpu_s, and what else a way reports: numbers, strings, tensors


def parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with what all these benchmarks take."""
    made = argparse.ArgumentParser(description=description.partition("\n")[0])
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--short", action="store_true", help="one round of less work")
    made.add_argument("--worker", help=argparse.SUPPRESS)
    made.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    return made


def worked(options: argparse.Namespace, work: Callable[[str], Result]) -> bool:
    """Where this process is a worker: do the work on one thread, leave the result, return True."""
    if options.worker is None:
        return False
    torch.set_num_threads(1)
    torch.save(work(options.worker), options.output)
    return True


def in_turn(
    module: str, ways: Sequence[str], rounds: int, *arguments: str
) -> dict[str, list[Result]]:
    """Let every way work once a round; return its results, one a round."""
    found: dict[str, list[Result]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            found[way].append(run(module, way, *arguments))
    return found


def run(module: str, way: str, *arguments: str) -> Result:
    """Do the work of one way in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "result.pt"
        command = [sys.executable, "-m", module, "--worker", way, "--output", str(output)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run(
            [*command, *arguments], check=True, env=environment, stdout=subprocess.DEVNULL
        )
        result: Result = torch.load(output, weights_only=True)
    return result


def cpu_seconds(found: Mapping[str, Sequence[Result]], label: str) -> dict[str, float]:
    """Print and return the median of each way."""
    seconds = {way: [result["cpu_s"] for result in results] for way, results in found.items()}
    for way, values in seconds.items():
        spread = max(values) / min(values)
        print(f"{label:14} {way:12} {median(values):8.2f} s CPU   slowest / fastest {spread:.2f}")
    return {way: median(values) for way, values in seconds.items()}
