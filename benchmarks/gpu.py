"""How busy a GPU is kept: every method and metric beside the raw network, in one table.

    python -m benchmarks.gpu
    python -m benchmarks.gpu --precision tf32 bf16 fp16 --json gpu.json
    python -m benchmarks.gpu --tiny

Prints a Markdown table for benchmarks/README.md, then one JSON object. The seconds are divided
among the rows; each times the largest size of its work that fits, warm, and says which. Whatever is
not measured is named with its reason. Small, fixed pieces of the same work are compared with what a
CPU found, which comes along. Fails, after all rows, if SP, LIME or a metric differ by more than
1e-4 with 32 bits, or if a row fails.

Keys such as ``classifier=resnet50_imagenet``, before the options, change what is measured; other
weights than the default's have no reference until ``--write-reference`` makes one. ``--tiny`` takes
seconds on a CPU, and only shows that all rows work.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache, partial
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import Any

import torch

from benchmarks import gpu_reference
from benchmarks.components import composed
from benchmarks.gauges import Budget, Gauge, Prepare, Reading, Work
from benchmarks.gpu_jobs import PARTS, SMALLEST, TINY, Job, MethodJob, again, jobs, smaller
from benchmarks.gpu_table import Line, Report, as_dict, markdown, rate
from benchmarks.occlusion import captum_occlusion
from genattr import config, environment
from genattr.classifier import precision
from genattr.errors import reason
from genattr.protocols import Classifier
from genattr.run import experiment
from genattr.run.study import Study

ALWAYS = ("dataset=samples", "target=label", "tracking=none")
TOY = (
    "classifier=timm", "classifier.name=test_resnet", "classifier.pretrained=false",
    "classifier.input_size=64", "device=cpu", "threads=1", "tune_allocator=false", "batch_size=4",
)  # fmt: skip
FULL = "fp32"
AT_EACH_PRECISION = ("sp", "lime")
PASSES = (1.0, 4.0, 16.0, 64.0)
PER_EVAL = (32, 256, 512)
GRADIENT_SHARE = 1 / 40  # of what is left, for the network in the batches of one method
KEPT = 0.9  # of the seconds, for the rows; the rest is for the beginning and the end


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="of the configuration")
    parser.add_argument("--only", nargs="+", metavar="OPTION", help="of conf/method, conf/metric")
    parser.add_argument("--seconds", type=float, default=150, help="of the whole command, about")
    parser.add_argument("--photos", type=int, default=32, help="most that a row times")
    parser.add_argument(
        "--precision", nargs="+", choices=precision.NAMES, default=[], help="beside fp32"
    )
    parser.add_argument("--json", type=Path, help="write the JSON object there, too")
    parser.add_argument("--reference", type=Path, default=gpu_reference.FILE)
    parser.add_argument("--write-reference", action="store_true")
    parser.add_argument("--tiny", action="store_true", help="a toy network on the CPU")
    return parser.parse_intermixed_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    config.register()
    if options.write_reference:
        return write_reference(options)
    report = Bench(options).run()
    found = json.dumps(as_dict(report))
    if options.json:
        options.json.write_text(found, encoding="utf-8")
    print(f"\n{markdown(report)}\n")
    print(found)
    return int(bool(report.problems))


def write_reference(options: argparse.Namespace) -> int:
    """Write the reference of a classifier, on the CPU."""
    on_cpu = [*common(options), "device=cpu", "batch_size=32"]
    chosen, left_out = jobs(on_cpu, 1, options.only)
    gpu_reference.write(chosen, options.reference)
    size = options.reference.stat().st_size
    print(json.dumps({"file": str(options.reference), "bytes": size, "left_out": left_out}))
    return 0


def common(options: argparse.Namespace) -> list[str]:
    """Return what all configurations have in common."""
    return [*ALWAYS, *(TOY if options.tiny else ()), *options.overrides]


class Bench:
    """Measures row after row."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.start = options, time.perf_counter()
        self.base = experiment.assemble(composed(*common(options), "metric=[]"))
        self.gauge = Gauge(self.base.device)
        self.rows = int(self.base.cfg.batch_size)
        photos = 1 if options.tiny else options.photos
        batches = [*common(options), f"batch_size={self.rows}"]
        self.jobs, left_out = jobs(batches, photos, options.only)
        self.report = Report(facts(self.base), left_out=left_out)
        weights = self.base.classifier.fingerprint
        self.reference = gpu_reference.read(options.reference, weights)
        self.further = [bits for bits in dict.fromkeys(options.precision) if bits != FULL]
        self.at_each = [job for job in self.jobs if job.name in AT_EACH_PRECISION]
        self.per_eval = (1, 2) if options.tiny else PER_EVAL
        further = len(self.further) * (1 + len(self.at_each))
        parts = 1 + len(self.jobs) + further + len(self.per_eval)
        self.budget = Budget(KEPT * options.seconds - (time.perf_counter() - self.start), parts)
        self.ceiling = cache(self._ceiling)

    def run(self) -> Report:
        """Measure all there is."""
        self._measure_all(self.jobs, FULL)
        self._captum()
        for bits in self.further:  # after all of fp32, as it may be set for the whole process
            self._measure_all([job.at(precision=bits) for job in self.at_each], bits)
        self.report.facts["seconds"] = f"{time.perf_counter() - self.start:.0f}"
        return self.report

    def _measure_all(self, chosen: Sequence[Job], bits: str) -> None:
        """Measure the raw network and jobs of the same precision."""
        if self.budget.left:
            self.ceiling(bits, self.rows, False)
        for job in chosen:
            self._row(f"{job.kind} {job.name}, {bits}", partial(self._line, job, bits))

    def _row(self, name: str, measure: Callable[[float], Line]) -> None:
        """Give a row its share of the seconds; say so if there are none left."""
        seconds = self.budget.share()
        if not seconds:
            used_up = f"the {self.options.seconds:g} seconds are used up; --seconds gives more"
            self.report.left_out[name] = used_up
            return
        try:
            self._add(measure(seconds))
        except Exception as error:  # the other rows are worth having
            traceback.print_exc()
            self.report.problems[name] = reason(error)

    def _line(self, job: Job, bits: str, seconds: float) -> Line:
        rows = self.rows
        if isinstance(job, MethodJob) and job.has_gradient:
            job, rows = job.filling()
        ceiling = self.ceiling(bits, rows, job.has_gradient)
        found = self._read(job.prepare, job.sizes, seconds)
        photos, share = job.split(found.size)
        agreement = gpu_reference.compare(job, self.reference)
        if agreement and bits == FULL and gpu_reference.disagrees(job, agreement):
            off = f"it is {agreement.difference:.0e} off the reference"
            self.report.problems[f"{job.kind} {job.name}, {bits}"] = off
        return Line(
            kind=job.kind,
            name=job.name,
            precision=bits,
            work=amount(photos, share),
            ms_per_photo=1000 * found.seconds / photos if share == 1 else None,
            **numbers(found, ceiling),
            **(asdict(agreement) if agreement else {}),
        )

    def _ceiling(self, bits: str, rows: int, gradient: bool) -> float:
        """Measure the raw network in batches of so many rows; return its images a second."""
        classifier = again(self.base, {"precision": bits}).classifier
        size = classifier.input_size
        images = torch.rand(rows, 3, size, size, device=self.base.device).requires_grad_(gradient)

        def prepare(passes: float) -> Work:
            return lambda: sum(one_pass(classifier, images) for _ in range(ceil(passes)))

        seconds = GRADIENT_SHARE * self.budget.left if gradient else self.budget.share()
        found = self._read(prepare, PASSES, seconds)
        a_second = found.images / found.seconds
        name = f"network, {rows} rows{', with gradient' * gradient}"
        work = f"{ceil(found.size)} x {rows} images"
        told = numbers(found, a_second)
        self._add(Line(kind="network", name=name, precision=bits, work=work, **told))
        return a_second

    def _captum(self) -> None:
        """Measure Captum's Occlusion beside SP."""
        if find_spec("captum") is None:
            self.report.left_out["Captum's Occlusion"] = "it needs pip install captum"
            return
        for sp in (job.first for job in self.jobs if job.name == "sp"):
            for per_eval in self.per_eval:
                name = f"Captum's Occlusion, {per_eval} at a time"
                self._row(name, partial(self._captum_line, name, sp, per_eval))

    def _captum_line(self, name: str, sp: Study, per_eval: int, seconds: float) -> Line:
        found = self._read(captum(sp, per_eval), PARTS, seconds)
        told = numbers(found, self.ceiling(FULL, self.rows, False))
        ours = next((line for line in self.report.lines if line.name == "sp"), None)
        note = ""
        if ours and ours.images_per_s:
            note = f"SP is {ours.images_per_s * found.seconds / found.images:.2f} times as fast"
        work = amount(1, max(found.size, SMALLEST))
        return Line(kind="captum", name=name, precision=FULL, work=work, note=note, **told)

    def _read(self, prepare: Prepare, sizes: Sequence[float], seconds: float) -> Reading:
        return self.gauge.read(prepare, [TINY] if self.options.tiny else sizes, seconds)

    def _add(self, line: Line) -> None:
        self.report.lines.append(line)
        print(f"{line.precision} {line.name}: {rate(line.images_per_s) or 'no'} images/s")


def facts(study: Study) -> dict[str, str]:
    """Return what a table says of the machine."""
    told = environment.describe(study.device)
    known = {"card": told.get("gpu", "none: this is a CPU"), "torch": told["torch"]}
    known |= {"date": datetime.now(UTC).date().isoformat(), "classifier": study.classifier.title}
    return known | {"revision": told["git_revision"]}


def numbers(found: Reading, ceiling: float) -> dict[str, Any]:
    """Return what a reading says for a row, beside the raw network's images a second."""
    told = {"images": found.images, "seconds": found.seconds}
    share = found.images / found.seconds / ceiling if found.images else None
    return told | {"of_network": share, "busy": found.busy, "peak_mb": found.peak_mb}


def amount(photos: int, share: float) -> str:
    """Say how much of a job was timed: "4 photos", "2 photos, 1/16 of each"."""
    whole = f"{photos} photo{'s' * (photos > 1)}"
    return whole if share == 1 else f"{whole}, 1/{round(1 / share)} of each"


def one_pass(classifier: Classifier, images: torch.Tensor) -> int:
    """Let the network see a batch, and differentiate it if the images ask for that."""
    with torch.set_grad_enabled(images.requires_grad):
        logits = classifier(images)
    if images.requires_grad:
        torch.autograd.grad(logits.sum(), images)
    return len(images)


def captum(sp: Study, per_eval: int) -> Prepare:
    """Return what makes Captum's map of SP's windows ready."""
    size = sp.classifier.input_size
    sample = sp.photos.load(0, size)
    attribute = captum_occlusion(sp.classifier, sample, sp.device)

    def prepare(share: float) -> Work:
        method: Any = smaller(sp.method, max(share, SMALLEST))  # Captum's windows leave no gaps

        def work() -> int:
            attribute(method.stride, per_eval)
            return method.calls(size) - 1

        return work

    return prepare


if __name__ == "__main__":
    sys.exit(main())
