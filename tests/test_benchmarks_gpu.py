"""The benchmark for GPUs, on the CPU: every option has a row or a reason, and rows are right."""

from __future__ import annotations

import json
import time
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks import gauges, gpu, gpu_reference
from benchmarks.components import component
from benchmarks.gauges import Budget, Gauge, kernels, union
from benchmarks.gpu_jobs import BESIDE, SMALLEST, jobs, smaller
from benchmarks.gpu_table import Line, Report, markdown
from genattr import config
from genattr.method.sp import SlidingPatch
from tests.contract.options import options

PACKAGES = {"pytorch_grad_cam": "method gradcam", "quantus": "metric quantus"}  # of extras


def names(group: str) -> set[str]:
    """Return what the rows of a group's options are called."""
    beside = {f"{name} {extra}" for name, extras in BESIDE.items() for extra in extras}
    return {*options(group), *(beside if group == "method" else ())}


def test_every_option_has_a_row_or_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu.main(["--tiny", "--precision", "bf16", "--json", str(tmp_path / "gpu.json")]) == 0
    output = capsys.readouterr().out
    found = json.loads(output.splitlines()[-1])
    assert found == json.loads((tmp_path / "gpu.json").read_text())
    for group in ("method", "metric"):
        rows = [line for line in found["lines"] if line["kind"] == group]
        told = {name for line in rows for name in line["name"].split(", ")}
        reasons = {key.partition(" ")[2] for key in found["left_out"] if key.startswith(group)}
        assert told | reasons == names(group)
        assert not told & reasons
    missing = {name for package, name in PACKAGES.items() if find_spec(package) is None}
    assert set(found["left_out"]) == {
        "method deeplab", "method masks", "metric lpips", "metric ms_ssim", *missing,
    }  # fmt: skip
    for line in found["lines"]:
        assert line["busy"] is line["peak_mb"] is None
        assert line["kind"] == "metric" or line["images_per_s"] > 0
    further = [line["name"] for line in found["lines"] if line["precision"] == "bf16"]
    assert further == ["network, 4 rows", "lime", "sp"]
    assert "\n| fido-ca | fp32 | 1 photo, 1/256 of each |" in output


def sp_alone(reference: Path, *further: str) -> list[str]:
    return ["--tiny", "--only", "sp", "--reference", str(reference), *further]


def test_results_are_compared_with_the_reference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "reference.npz"
    assert gpu.main(sp_alone(file, "--write-reference")) == 0

    def row() -> dict[str, object]:
        lines = json.loads(capsys.readouterr().out.splitlines()[-1])["lines"]
        return next(line for line in lines if line["name"] == "sp")

    capsys.readouterr()
    assert gpu.main(sp_alone(file)) == 0
    assert row()["difference"] < 1e-6
    with np.load(file) as stored:
        changed = dict(stored)
    changed["method sp"][0] += 2e-4
    np.savez(file, **changed)
    assert gpu.main(sp_alone(file)) == 1
    assert row()["difference"] == pytest.approx(2e-4, rel=0.1)
    assert gpu.main(sp_alone(gpu_reference.FILE)) == 0  # of other weights
    assert row()["difference"] is None


def test_a_row_that_fails_is_told_after_all_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(SlidingPatch, "explain", fail)
    assert gpu.main(["--tiny", "--only", "sp", "center"]) == 1
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["problems"] == {"method sp, fp32": "RuntimeError: CUDA out of memory"}
    assert "center" in [line["name"] for line in found["lines"]]


def test_the_reference_that_comes_along_is_of_all_rows_and_agrees() -> None:
    config.register()
    found, _ = jobs([*gpu.ALWAYS, "device=cpu", "threads=1", "tune_allocator=false"], 1, ["lime"])
    reference = gpu_reference.read(gpu_reference.FILE, found[0].first.classifier.fingerprint)
    measured = {"deeplab", "masks", "lpips", "gradcam", "quantus"}
    assert set(reference) == {
        f"{group} {name}" for group in ("method", "metric") for name in names(group) - measured
    }
    agreement = gpu_reference.compare(found[0], reference)
    assert not gpu_reference.disagrees(found[0], agreement)
    assert agreement.spearman > 0.999
    assert gpu_reference.FILE.stat().st_size < 200_000


def test_differences() -> None:
    one = np.array([1, 2, np.nan, 4], dtype=np.float32)
    assert gpu_reference.difference(one, one + np.float32(0.5)) == 0.5
    assert gpu_reference.difference(one, one[:3]) == float("inf")
    assert gpu_reference.difference(one, np.nan_to_num(one)) == float("inf")
    assert gpu_reference.spearman(one, one) is None
    assert gpu_reference.spearman(one[[0, 1, 3]], -one[[0, 1, 3]]) == pytest.approx(-1)
    assert gpu_reference.spearman(np.ones(4), np.ones(4)) is None


@pytest.mark.parametrize("method", ["sp", "lime", "mp", "mp2", "fido-ca"])
def test_a_size_below_one_is_a_part_of_the_work(method: str) -> None:
    config.register()
    whole = component("method", f"method={method}")
    calls = [smaller(whole, share).calls(224) for share in (1.0, 1 / 4, SMALLEST)]
    assert calls[0] == whole.calls(224)
    for share, part in zip((1 / 4, SMALLEST), calls[1:], strict=True):
        assert share * calls[0] * 0.7 < part < share * calls[0] * 1.6 + 8


def test_the_time_of_overlapping_kernels_counts_once() -> None:
    assert union([]) == 0
    assert union([(4, 5), (0, 2), (1, 3), (1.5, 1.75)]) == 4
    assert union([(0, 10), (1, 2), (9, 11)]) == 11


def test_kernels_and_copies_are_what_a_gpu_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def event(device: str, start: float, end: float, annotates: bool = False) -> object:
        kind = getattr(torch.autograd.DeviceType, device)
        times = SimpleNamespace(start=start, end=end)
        return SimpleNamespace(device_type=kind, time_range=times, is_user_annotation=annotates)

    class Profile:
        def __init__(self, activities: object) -> None: ...
        def __enter__(self) -> Profile:
            return self

        def __exit__(self, *_: object) -> None: ...
        def events(self) -> list[object]:
            return [event("CPU", 0, 9e6), event("CUDA", 0, 9e6, True), event("CUDA", 1e6, 2e6)]

    monkeypatch.setattr(torch.profiler, "profile", Profile)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    assert list(kernels(lambda: None)) == [(1, 2)]


def test_a_gpu_is_synchronized_and_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    for name in ("synchronize", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda *_, name=name: order.append(name))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: 3_000_000)
    monkeypatch.setattr(gauges, "kernels", lambda work: [(0, 0.01 * work())])

    def work() -> int:
        order.append("work")
        time.sleep(0.02)
        return 1

    reading = Gauge(torch.device("cuda")).read(lambda _: work, (1.0,), 9)
    timed = ["synchronize", "work", "synchronize"]
    assert order == ["work", "reset_peak_memory_stats", *timed, "synchronize", "work"]
    assert reading.peak_mb == 3
    assert reading.busy == pytest.approx(0.01 / reading.seconds)
    monkeypatch.setattr(gauges, "kernels", lambda _: [])
    assert Gauge(torch.device("cuda")).read(lambda _: work, (1.0,), 9).busy is None


def test_later_parts_divide_what_earlier_ones_leave() -> None:
    now = [100.0]
    budget = Budget(30, 3, clock=lambda: now[0])
    assert budget.share() == 10
    now[0] += 2  # of 10
    assert budget.share() == 14
    now[0] += 30  # of 14
    assert budget.share() == budget.left == 0


@pytest.mark.parametrize(("seconds", "size"), [(60, 4.0), (0, 1.0)])
def test_the_largest_size_that_fits_is_timed(seconds: float, size: float) -> None:
    done: list[float] = []

    def prepare(chosen: float) -> gpu.Work:
        def work() -> int:
            done.append(chosen)
            return int(8 * chosen)

        return work

    reading = Gauge(torch.device("cpu")).read(prepare, (1.0, 2.0, 4.0), seconds)
    assert (reading.size, reading.images) == (size, 8 * size)
    assert reading.seconds > 0
    assert done.count(size) >= 2  # warm


def test_the_table_is_markdown_and_names_what_is_missing() -> None:
    line = Line(
        kind="metric", name="deletion", precision="fp32", work="4 photos", images=120, seconds=0.05,
        of_network=0.256, busy=0.5, peak_mb=None, ms_per_photo=12.5, difference=2e-7, spearman=1.0,
    )  # fmt: skip
    report = Report({"card": "X1", "torch": "2.14"}, [line], {"method masks": "it needs a folder"})
    report.problems["method sp"] = "it is 2e-03 off the reference"
    told = markdown(report).splitlines()
    assert told[0] == "card X1, torch 2.14."
    assert told[4] == (
        "| metric deletion | fp32 | 4 photos | 2,400 | 12.5 | 26% | 50% | not measured | 2e-07 "
        "| 1.0000 |  |"
    )
    assert {row.count("|") for row in told[2:5]} == {12}
    assert told[6:] == [
        "- left out: method masks: it needs a folder",
        "- WRONG: method sp: it is 2e-03 off the reference",
    ]
