"""What grows in a long run, and in a long sweep? Memory, open files, threads, database, disk.

    python -m benchmarks.soak
    python -m benchmarks.soak --photos 500 --members 200 --classifier efficientnet_lite0

A run explains photos, made up, by LIME with few samples; a sweep has members of one photo each.
Each is one process, as a user starts it on the CPU, read from inside after every photo or member.
``growth`` is the slope of a straight line through the second half of the readings, per photo or
member: by then what is made once is there. The last line is JSON, with the series.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
TINY = "timm classifier.name=test_resnet classifier.pretrained=false"
READINGS = 20  # with what is on the disk; what is cheap to read is read each time
PAGE = os.sysconf("SC_PAGE_SIZE")
COMMON = ["target=0", "threads=1", "device=cpu", "metric=[deletion,saliency]"]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--photos", type=int, default=500)
    parser.add_argument("--members", type=int, default=200)
    parser.add_argument("--classifier", default=TINY, help="an option, and its keys")
    parser.add_argument("--inside", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside is not None:
        return inside(*options.inside)
    first, *keys = options.classifier.split()
    chosen = [f"classifier={first}", *keys, *COMMON]
    result: dict[str, Any] = {"classifier": options.classifier}
    for kind, count in {"photos": options.photos, "members": options.members}.items():
        if count > 0:
            with tempfile.TemporaryDirectory() as folder:
                result[kind] = told(kind, soak(kind, count, Path(folder), chosen))
    return print(json.dumps(result))


def soak(kind: str, count: int, folder: Path, chosen: list[str]) -> list[dict[str, int]]:
    """Do the work in a process of its own; return its readings."""
    photos = made_up(count if kind == "photos" else 1, folder / "photos")
    words = [*chosen, "dataset=folder", f"dataset.root={photos}", f"store={folder}/store"]
    words += [f"tracking.uri=sqlite:///{folder}/mlflow.db"]
    if kind == "photos":
        words += ["method=lime", "method.n_samples=16", "method.n_segments=8"]
        words += [f"hydra.run.dir={folder}/runs"]
    else:
        words += ["-m", "method=center", f"seed=range({count})", f"hydra.sweep.dir={folder}/runs"]
    command = [sys.executable, "-m", "benchmarks.soak", "--inside"]
    command += [kind, str(count), str(folder), *words]
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    found: list[dict[str, int]] = json.loads((folder / "readings.json").read_text())
    return found


def made_up(count: int, folder: Path) -> Path:
    """Write photos of colored squares, no two alike."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for number in range(count):
        squares = draw.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(squares).resize((96, 96), Image.Resampling.NEAREST).save(
            folder / f"{number:04d}.png"
        )
    return folder


def inside(kind: str, count: str, folder: str, *words: str) -> None:
    """Run genattr in this process, and take readings as it goes."""
    from genattr.__main__ import main as run
    from genattr.run.worker import Worker
    from genattr.sweep import job

    readings: list[dict[str, int]] = []
    owner, name = (Worker, "finish") if kind == "photos" else (job, "run_job")
    rarely = max(int(count) // READINGS, 1)

    def read() -> None:
        done = len(readings) + 1
        with_disk = done % rarely == 0 or done == int(count)
        readings.append({"done": done, **reading(Path(folder), with_disk=with_disk)})

    setattr(owner, name, followed(getattr(owner, name), read))
    sys.argv = ["run.py", *words]
    try:
        run()
    finally:
        (Path(folder) / "readings.json").write_text(json.dumps(readings))


def followed(function: Callable[..., Any], by: Callable[[], None]) -> Callable[..., Any]:
    """Return a function after which another one is called."""

    def call(*given: Any, **named: Any) -> Any:
        result = function(*given, **named)
        by()
        return result

    return call


def reading(folder: Path, *, with_disk: bool) -> dict[str, int]:
    """Read this process, and perhaps what is on the disk, in bytes."""
    memory = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
    found = {"memory": memory, "files": len(os.listdir("/proc/self/fd"))}
    found["threads"] = threading.active_count()
    if with_disk:
        found["database"] = sum(one.stat().st_size for one in folder.glob("mlflow.db*"))
        found |= {name: size(folder / name) for name in ("store", "runs")}
        others = {one for one in folder.iterdir() if one.is_dir()} - {folder / "photos"}
        found["artifacts"] = sum(map(size, others)) - found["store"] - found["runs"]
    return found


def size(folder: Path) -> int:
    """Sum up a folder's files, in bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def told(kind: str, readings: list[dict[str, int]]) -> dict[str, Any]:
    """Print what grew, and return it with the readings that have all."""
    late = readings[len(readings) // 2 :]
    growth, series = {}, [one for one in readings if "store" in one]
    for name in series[-1].keys() - {"done"}:
        points = [(one["done"], one[name]) for one in late if name in one]
        growth[name] = round(float(np.polyfit(*zip(*points, strict=True), 1)[0]), 3)
        first, last = series[0][name], series[-1][name]
        print(f"{kind}: {name:9} {first:12,} to {last:12,}; {growth[name]:12,.2f} for each more")
    return {"growth": growth, "series": series}


if __name__ == "__main__":
    main()
