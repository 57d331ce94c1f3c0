"""Tell how much sooner two workers finish a sweep than one, on this machine.

    python -m benchmarks.workers [--photos 4] [--rounds 3]

The same two shards of photos, explained by SP with nothing in the store: by one process with one
thread a core, and by two processes (Hydra's joblib launcher) with one thread each. Seconds of the
whole command, the least of the rounds; ``ratio`` is one worker's time over two workers'. The last
line is JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
WORKERS = {
    1: ["hydra/launcher=basic"],
    2: ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "threads=1"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    seconds = dict.fromkeys(WORKERS, float("inf"))
    for _ in range(options.rounds):
        for count in WORKERS:
            seconds[count] = min(seconds[count], timed(count, options.photos))
            print(f"{count} worker{'s' * (count > 1)}: {seconds[count]:.1f} s", flush=True)
    print(json.dumps({"seconds": seconds, "ratio": seconds[1] / seconds[2]} | vars(options)))


def timed(count: int, photos: int) -> float:
    """Run the sweep in a folder of its own; return its wall time."""
    sweep = ["selection.shard.index=0,1", "selection.shard.count=2", f"selection.limit={photos}"]
    with tempfile.TemporaryDirectory() as folder:
        places = [f"store={folder}/heatmaps", f"hydra.sweep.dir={folder}/sweep", "tracking=none"]
        places += ["device=cpu"]
        command = [sys.executable, "run.py", "-m", *WORKERS[count], *sweep, "metric=[]", *places]
        start = time.perf_counter()
        subprocess.run(command, cwd=REPO, check=True, capture_output=True)
        return time.perf_counter() - start


if __name__ == "__main__":
    main()
