"""Does a run's memory grow with its photos? Peak resident memory of runs on few and on many.

    python -m benchmarks.memory
    python -m benchmarks.memory sp lime --photos 2 4

Each run is a process of its own, as a user starts it on the CPU, with the default classifier;
methods take fewer steps than their defaults, but their batches are as large, and there are enough
of them for the allocator to have what it needs. The embedded photos are copied to a folder as often
as it takes. The last line is JSON: MB a method and count, and the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from itertools import cycle, islice
from pathlib import Path

from torchvision.utils import save_image

from benchmarks.components import component, prepare

ROOT = Path(__file__).resolve().parents[1]
FEWER = {
    "sp": ["method.stride=39"],
    "sp-g": ["method.stride=39"],
    "lime": ["method.n_samples=65"],
    "lime-g": ["method.n_samples=65"],
    "mp": ["method.steps=30"],
    "mp-g": ["method.steps=30"],
    "mp2": ["method.max_steps=30"],
    "mp2-g": ["method.max_steps=30"],
    "fido-ca": ["method.steps=12"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("methods", nargs="*", default=list(FEWER))
    parser.add_argument("--photos", nargs=2, type=int, default=[2, 20], metavar=("FEW", "MANY"))
    options = parser.parse_args()
    report = {}
    prepare()
    with tempfile.TemporaryDirectory() as folder:
        for method in options.methods:
            peaks = [peak(method, count, Path(folder) / f"{count}") for count in options.photos]
            ratio = peaks[1] / peaks[0]
            few, many = (f"{peak:6.0f} MB" for peak in peaks)
            print(f"{method:8} {few} on {options.photos[0]} photos, {many} on {options.photos[1]}")
            report[method] = {"MB": [round(peak) for peak in peaks], "ratio": round(ratio, 3)}
    print(json.dumps({"photos": options.photos, "methods": report}))


def peak(method: str, count: int, folder: Path) -> float:
    """Return the peak of a run's resident memory, in MB."""
    photos = copies(count, folder / "photos")
    command = [sys.executable, "run.py", f"method={method}", *FEWER[method], "dataset=folder"]
    command += [f"dataset.root={photos}", "tracking=none", f"store={folder}/{method}"]
    command += [f"hydra.run.dir={folder}/run", "threads=1", "device=cpu"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"{' '.join(command)} failed"
    return usage.ru_maxrss / 1024


def copies(count: int, folder: Path) -> Path:
    """Write the embedded photos until there are enough, each under a name of its own."""
    if not folder.is_dir():
        folder.mkdir(parents=True)
        dataset = component("dataset")
        for number, index in enumerate(islice(cycle(range(len(dataset))), count)):
            save_image(dataset.load(index, 256).image, folder / f"{number:02d}.png")
    return folder


if __name__ == "__main__":
    main()
