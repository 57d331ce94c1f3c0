"""What is told before a long run starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from genattr import console
from genattr.run import cost, experiment
from genattr.run.findings import Findings
from genattr.run.selection import Chosen
from genattr.tracking.base import Run
from tests.contract.options import small

FEW = ["classifier=timm", "target=predicted", "metric=[deletion]"]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.2, "0 s"), (59, "59 s"), (180, "3 min"), (5000, "83 min"), (36000, "10.0 h")],
)
def test_durations(seconds: float, told: str) -> None:
    assert cost.human(seconds) == told


@pytest.mark.parametrize("method", ["sp-g", "mp2", "fido-ca"])
def test_a_long_run_says_so_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str
) -> None:
    study = experiment.assemble(small(tmp_path, *FEW, f"method={method}"))
    assert cost.announce(study, Chosen([0], [])) is None
    assert capsys.readouterr().out == ""
    state = torch.get_rng_state()
    seconds = cost.announce(study, Chosen([0] * 1_000_000, []))
    told = capsys.readouterr().out
    assert f"up to {study.cost} images a heatmap, 1,000,000 heatmaps: about" in told
    assert told.rstrip().endswith(f"{seconds / 3600:.1f} h")
    assert torch.equal(torch.get_rng_state(), state)


def test_a_repeated_run_is_not_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = experiment.assemble(small(tmp_path, *FEW, "method=center"))
    findings = Findings()
    experiment.explain_and_score(study, Chosen([0], []), findings, Run())
    monkeypatch.setattr(cost, "pace", None)
    assert cost.announce(study, Chosen([0] * 1_000_000, [])) is None


def test_a_metric_that_explains_again_costs_its_explanations(tmp_path: Path) -> None:
    chosen = [*FEW[:2], "metric=[randomization]", "method=sp", "protocol.stride=40"]
    study = experiment.assemble(small(tmp_path, *chosen))
    (metric,) = study.metrics.values()
    pace = cost.pace(study)
    explaining = pace.row * study.method.rows(study.classifier.input_size, 1)
    assert metric.explanations > 1
    assert pace.scoring >= 0.99 * metric.explanations * explaining > 0
    total = cost.Total()
    total.add(study, Chosen([0], []))
    assert total.seconds > 0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A clock that stands still but where it is moved."""
    now = [0.0]
    monkeypatch.setattr(cost.time, "perf_counter", lambda: now[0])

    def forward(seconds: float) -> None:
        now[0] += seconds

    return forward


def test_the_first_batch_is_not_counted(clock: Callable[[float], None]) -> None:
    watch = cost._Watch(torch.device("cpu"))
    clock(50)
    watch.scored(8)
    clock(cost.ENOUGH / 2)
    watch.scored(8)
    clock(cost.ENOUGH)
    with pytest.raises(cost._Enough):
        watch.scored(4)
    assert watch.rate == pytest.approx(1.5 * cost.ENOUGH / 12)


class Silent(console.Progress):
    """Shows nothing."""

    def scored(self, count: int) -> None:
        pass

    def finished(self, scored: int = 0) -> None:
        pass

    def skipped(self, heatmaps: int) -> None:
        pass


@pytest.mark.parametrize(
    ("each", "told"),
    [(100, ""), (20, "It takes about 28 min: 25 min are left\n"), (900, "It takes about 21.0 h")],
)
def test_an_estimate_that_was_wrong_is_corrected_once(
    clock: Callable[[float], None], capsys: pytest.CaptureFixture[str], each: float, told: str
) -> None:
    watched = cost.Corrected(Silent(), 100, 100 * 100)
    watched.skipped(6)
    for _ in range(10):
        watched.finished()  # was in the store
    for _ in range(24):
        clock(each)
        watched.finished(scored=5)
    said = capsys.readouterr().out
    assert said.startswith(told)
    assert said.count("\n") == bool(told)


def test_only_the_runs_own_device_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[object] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    cost._Watch(torch.device("cpu"))
    assert waited == []
    gpu = torch.device("cuda", 1)
    cost._Watch(gpu)
    assert waited == [gpu]


def test_members_that_are_alike_are_timed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[str] = []

    def rate(study: object) -> float:
        timed.append(study.title)
        return 0.01

    def seconds(study: object, metric: object, has_ties: bool) -> float:
        timed.append(f"deletion {has_ties}")
        return 2.0

    monkeypatch.setattr(cost, "_rate", rate)
    monkeypatch.setattr(cost, "_seconds_of_metric", seconds)
    total = cost.Total()
    for seed in (0, 1):
        for method in ("lime", "center"):
            words = [*FEW, f"method={method}", f"seed={seed}"]
            total.add(experiment.assemble(small(tmp_path, *words)), Chosen([0, 1, 2], []))
    assert len(timed) == 3
    assert timed.count("deletion True") == 1
    assert total.seconds == pytest.approx(
        2 * (3 * 25 * 0.01 + 3 * 2) + 2 * (3 * 0.01 + 3 * 2), rel=0.1
    )


def test_a_heatmap_of_several_members_is_explained_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost.Ledger, "pace", lambda *_: cost.Pace(1.0, 100.0))
    ledger = cost.Ledger()
    first, second, third = (cost.Total(ledger) for _ in range(3))
    chosen = [*FEW[:2], "method=sp", "filler=mirror", "protocol.stride=40"]
    study = experiment.assemble(small(tmp_path, *chosen, "metric=[deletion]"))
    other = experiment.assemble(small(tmp_path, *chosen, "metric=[insertion]"))
    first.add(study, Chosen([0, 1], [2]))
    assert (first.heatmaps, len(first.photos)) == (3, 3)
    assert first.images == 3 * study.cost
    assert first.filled == 3 * study.explaining
    assert first.seconds == study.method.rows(study.classifier.input_size, 3) + 300
    second.add(other, Chosen([1, 2, 3], []))
    assert (second.heatmaps, len(second.photos)) == (1, 3)
    assert second.images == other.explaining + 3 * other.scoring
    third.add(experiment.assemble(small(tmp_path, *FEW, "method=mp2")), Chosen([0], []))
    assert 0 < third.differentiated < third.images
    assert third.filled == 0
