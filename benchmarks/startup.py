"""How long before anything happens? Import, tab completion and help, each in a fresh process.

    python benchmarks/startup.py --repeats 10

Seconds of the whole process, from its start to its end, interpreter included; the median counts,
after one round that warms the file cache. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

REPO = Path(__file__).resolve().parents[1]
COMPLETE = [sys.executable, "run.py", "-sc", "query=bash"]
BUDGETS = {"import": 0.5, "complete option": 1.0, "complete key": 1.0}
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
    repeats = parser.parse_args().repeats
    seconds: dict[str, list[float]] = {name: [] for name in TASKS}
    for _ in range(repeats + 1):
        for name, (command, line) in TASKS.items():
            seconds[name].append(timed(command, line))
    medians = {name: round(median(values[1:]), 3) for name, values in seconds.items()}
    for name, value in medians.items():
        budget = f"   budget {BUDGETS[name]:.1f}" if name in BUDGETS else ""
        print(f"{name:16} {value:6.3f} s   ({min(seconds[name]):.3f} at best){budget}")
    print(json.dumps({"repeats": repeats, "seconds": medians, "budgets": BUDGETS}))


def timed(command: list[str], line: str) -> float:
    """Run one process with ``line`` as what the user has typed; return its wall time."""
    environment = os.environ | {"COMP_LINE": line, "COMP_POINT": str(len(line))}
    start = time.perf_counter()
    subprocess.run(command, cwd=REPO, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
