"""How long before anything happens? Import, completion, help and a short run, each in a process.

    python benchmarks/startup.py --repeats 10

Seconds of the whole process, from its start to its end, interpreter included; the median counts,
after one round that warms the file cache and makes the database. A run explains and scores one
photo, and its parts are timed in a process of their own: they overlap, as metrics ask the network,
and MLflow is imported in a thread. The last line is JSON.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

REPO = Path(__file__).resolve().parents[1]
COMPLETE = [sys.executable, "run.py", "-sc", "query=bash"]
RUN = ["method=center", "selection.limit=1"]
BUDGETS = {"import": 0.5, "complete option": 1.0, "complete key": 1.0, "run": 5.0, "run none": 3.0}
TASKS = {
    "interpreter": ([sys.executable, "-c", ""], ""),
    "import": ([sys.executable, "-c", "import genattr"], ""),
    "complete option": (COMPLETE, "python run.py -m method="),
    "complete key": (COMPLETE, "python run.py method=lime metric=[deletion] method.n"),
    "help": ([sys.executable, "run.py", "--help"], ""),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--parts", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.parts is not None:
        return run_in_parts(options.parts)
    with tempfile.TemporaryDirectory() as folder:
        return measure(options.repeats, runs(folder))


def runs(folder: str) -> dict[str, list[str]]:
    """Return the overrides of the runs: with SQLite, and without a record."""
    chosen = [*RUN, f"store={folder}/heatmaps", f"hydra.run.dir={folder}/run"]
    recorded = f"tracking.uri=sqlite:///{folder}/mlflow.db"
    return {"run": [*chosen, recorded], "run none": [*chosen, "tracking=none"]}


def measure(repeats: int, chosen: dict[str, list[str]]) -> None:
    """Time every task, and the parts of the runs."""
    started = {name: ([sys.executable, "run.py", *given], "") for name, given in chosen.items()}
    tasks = TASKS | started
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in tasks}
    for _ in range(repeats + 1):
        for name, (command, line) in tasks.items():
            clear(chosen)
            seconds[name].append(timed(command, line))
    medians, cpu = (
        {name: round(median(one[i] for one in values[1:]), 3) for name, values in seconds.items()}
        for i in (0, 1)
    )
    for name, value in medians.items():
        budget = f"   budget {BUDGETS[name]:.1f}" if name in BUDGETS else ""
        best = min(wall for wall, _ in seconds[name])
        print(f"{name:16} {value:6.3f} s   ({best:.3f} at best, {cpu[name]:.2f} CPU){budget}")
    parts = {name: parts_of(given, chosen) for name, given in chosen.items()}
    for name, found in parts.items():
        print(f"{name:16} {', '.join(f'{part} {value:.2f} s' for part, value in found.items())}")
    result = {
        "repeats": repeats,
        "seconds": medians,
        "cpu": cpu,
        "budgets": BUDGETS,
        "parts": parts,
    }
    print(json.dumps(result))


def clear(chosen: dict[str, list[str]]) -> None:
    """Remove the stored heatmaps, so that each run makes its own."""
    (store,) = {given[len(RUN)].partition("=")[2] for given in chosen.values()}
    for file in Path(store).rglob("*.npz"):
        file.unlink()


def timed(command: list[str], line: str) -> tuple[float, float]:
    """Run one process with ``line`` as what the user has typed; return its wall and CPU time."""
    environment = os.environ | {"COMP_LINE": line, "COMP_POINT": str(len(line))}
    start, before = time.perf_counter(), os.times()
    subprocess.run(command, cwd=REPO, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    user, system = (after[i] - before[i] for i in (2, 3))
    return time.perf_counter() - start, user + system


def parts_of(given: list[str], chosen: dict[str, list[str]]) -> dict[str, float]:
    """Run once more in a process of its own; return the seconds of each part."""
    clear(chosen)
    command = [sys.executable, __file__, "--parts", *given]
    done = subprocess.run(command, cwd=REPO, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def run_in_parts(given: list[str]) -> None:
    """Run in this process, and say at its end how long each part took."""
    sys.path.insert(0, str(REPO))
    seconds: Counter[str] = Counter()
    atexit.register(lambda: print(json.dumps({k: round(v, 2) for k, v in seconds.items()})))
    start = time.perf_counter()
    from genattr.classifier.base import NetworkClassifier
    from genattr.run import experiment, outputs
    from genattr.tracking.mlflow import MlflowRun, MlflowTracking

    import_module("genattr.sweep.job")
    seconds["imports"] = time.perf_counter() - start
    watched: list[tuple[str, Any, tuple[str, ...]]] = [
        ("classifier", experiment, ("_classifier",)),
        ("network", NetworkClassifier, ("_ask",)),
        ("metrics", experiment, ("score",)),
        ("MLflow", MlflowTracking, ("prepare", "start")),
        ("MLflow", MlflowRun, ("metrics", "files", "examples", "close")),
        ("pictures", outputs, ("alpha_curves",)),
        ("pictures", outputs.examples, ("draw",)),
    ]
    for part, owner, names in watched:
        for name in names:
            setattr(owner, name, adding(seconds, part, getattr(owner, name)))
    from genattr.__main__ import main as run

    sys.argv = ["run.py", *given]
    run()


def adding(seconds: Counter[str], part: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that adds the seconds of its calls to a part."""

    def call(*arguments: Any, **named: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            seconds[part] += time.perf_counter() - start

    return call


if __name__ == "__main__":
    main()
