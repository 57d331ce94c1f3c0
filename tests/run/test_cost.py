"""What is told before a long run starts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from genattr.run import cost, experiment
from tests.contract.options import small


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
    few = ["classifier=timm", "target=predicted", "metric=[deletion]", f"method={method}"]
    study = experiment.assemble(small(tmp_path, *few))
    cost.announce(study, 1)
    assert capsys.readouterr().out == ""
    cost.announce(study, 1_000_000)
    told = capsys.readouterr().out
    assert f"up to {study.cost} images a heatmap, 1,000,000 heatmaps: at most about" in told
    assert told.rstrip().endswith(" h")


def test_only_the_runs_own_device_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[object] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    study = experiment.assemble(small(tmp_path, "classifier=timm", "device=cpu"))
    assert cost.seconds_per_image(study) > 0
    assert waited == []
    gpu = torch.device("cuda", 1)
    cost._timed(lambda: None, gpu)
    assert waited == [gpu, gpu]
