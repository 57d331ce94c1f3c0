"""Runs a block of the study: ``python -m benchmarks.study --help``."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

import torch

from benchmarks import split, study
from benchmarks.components import component, composed, prepare
from benchmarks.study import merge, plan
from benchmarks.study.plan import Job
from genattr.memory import Room
from genattr.results.finished import Member
from genattr.results.summary import SUMMARY
from genattr.run.selection import select

CONF = Path(__file__).with_name("conf")
REPO = Path(__file__).resolve().parents[2]
PARTS = {"evaluation": "claims", "held_out": "choices"}
SLOWER = 1.3  # than the row's photos so far, at most


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=study.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True, help="the ImageNet tree")
    parser.add_argument("--hours", type=float, default=2.0, help="begin nothing that ends later")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="of a thread each")
    parser.add_argument("--groups", nargs="+", help="these alone")
    parser.add_argument("--rows", nargs="+", default=[], help="of the groups, these alone")
    parser.add_argument("--photos", type=int, default=10**6, help="of a row, at most")
    parser.add_argument(
        "--held-out", type=int, help="photos that choose, at most (default: a quarter of --photos)"
    )
    parser.add_argument("--plan", type=Path, default=plan.FILE)
    parser.add_argument("--found", type=Path, default=plan.FOUND)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    prepare(1)
    whole = plan.read(options.plan)
    names = options.groups or list(whole.groups)
    asked = plan.part(whole, names, options.photos, options.rows, options.held_out)
    photos = {
        name: right(name, options.root)
        for name in dict.fromkeys(group.classifier for group in asked.groups.values())
    }
    block = Block(options)
    with tempfile.TemporaryDirectory(prefix="study-") as temporary:
        block.work(list(plan.pending(asked, photos, options.found)), Path(temporary))
    print(json.dumps(block.told()))
    return int(bool(block.failed))


def right(classifier: str, root: Path) -> Mapping[str, list[str]]:
    """Name the photos of either part that a classifier gets right, and all photos."""
    typed = ["dataset=imagenet", f"dataset.root={root}", "dataset.resize=null"]
    dataset = component("dataset", *typed)
    model = component("classifier", f"classifier={classifier}")
    found = {"all": list(dataset.ids)}
    for name, part in PARTS.items():
        chosen = composed(f"selection.names={split.file_of(part)}", "selection.correct_only=true")
        photos = select(
            dataset,
            model,
            chosen.selection,
            torch.device("cpu"),
            Room("batch_size", 32),
            print,
            lambda some, _: some,
        )
        found[name] = [dataset.ids[index] for index in photos.evaluation]
    return found


class Block:
    """Some hours of work.

    Parameters
    ----------
    options
        Of the command line.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.end = time.monotonic() + 3600 * options.hours
        self.done: Counter[str] = Counter()
        self.failed: list[str] = []
        self.left = 0
        self.pace: dict[tuple[Path, str], float] = {}  # seconds a photo of this block's last job

    def work(self, jobs: Sequence[Job], temporary: Path) -> None:
        """Run jobs, several at once, as long as there is time."""
        running: dict[Future[str | None], tuple[Job, Path, float]] = {}
        with ThreadPoolExecutor(self.options.processes) as pool:
            for number, job in enumerate(jobs):
                if not self.has_time(job):
                    self.left += len(job.photos)
                    continue
                folder = temporary / str(number)
                future = pool.submit(run, job, folder, self.options.root)
                running[future] = job, folder, time.monotonic()
                if len(running) == self.options.processes:
                    self.collect(running)
            while running:
                self.collect(running)

    def has_time(self, job: Job) -> bool:
        """Whether a job will have ended, judging by the row's photos so far.

        Those of this block tell all that a photo takes, those of earlier blocks its heatmap alone.
        """
        row = self.options.found / job.folder
        is_known = (row / SUMMARY).is_file()
        seconds = Member(row).summary.values[merge.PER_HEATMAP] if is_known else 0.0
        seconds = self.pace.get((job.folder, job.split), seconds)
        return time.monotonic() + SLOWER * seconds * len(job.photos) < self.end

    def collect(self, running: dict[Future[str | None], tuple[Job, Path, float]]) -> None:
        """Wait for a job, and keep its scores."""
        ended, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in ended:
            job, folder, began = running.pop(future)
            error = future.result()
            if error is None:
                self.pace[job.folder, job.split] = (time.monotonic() - began) / len(job.photos)
                merge.add(folder / "run", self.options.found / job.folder, job.split)
                self.done[f"{job.group}: {job.row}"] += len(job.photos)
            else:
                self.failed.append(f"{job.group}: {job.row}: {error}")
            left = max(self.end - time.monotonic(), 0) / 60
            told = error or f"{len(job.photos)} photos, {job.split}"
            print(f"{job.group}: {job.row}: {told}; {left:.0f} min left", flush=True)

    def told(self) -> dict[str, object]:
        """Return what was done."""
        return {"photos": dict(self.done), "failed": self.failed, "left": self.left}


def run(job: Job, folder: Path, root: Path) -> str | None:
    """Run a job in a process of its own; return its last line if it fails."""
    folder.mkdir()
    names = folder / "photos.txt"
    names.write_text("".join(f"{name}\n" for name in job.photos), encoding="utf-8")
    places = [f"dataset.root={root}", f"selection.names={names}", f"store={folder}/heatmaps"]
    command = [
        sys.executable,
        "run.py",
        "--config-dir",
        str(CONF),
        *job.overrides,
        *places,
        f"hydra.run.dir={folder}/run",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True)
    if ended.returncode == 0:
        return None
    lines = (ended.stderr or ended.stdout).strip().splitlines()
    return lines[-1] if lines else f"exit code {ended.returncode}"


if __name__ == "__main__":
    sys.exit(main())
