"""NaN and infinity, wherever they come from, are told, and neither kept nor scored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from genattr.errors import UserError
from genattr.method.center import Center
from genattr.metric.judge import Judge
from genattr.probe import Probe
from genattr.run import checks, experiment
from genattr.scoring import first_choices
from genattr.store.heatmaps import HeatmapStore
from tests.conftest import LinearClassifier, linear_probe
from tests.contract.options import small

HERE = "classifier.path=tests.run.test_not_a_number:"
SMALL = ["classifier=callable", "classifier.input_size=32", "target=predicted", "metric=[deletion]"]
GRADIENT = r"^the classifier's gradient is NaN or infinite for \w+, as that of a root"


def roots(x: Tensor) -> Tensor:
    """Two logits, fine everywhere, whose gradient is 0 / 0 where the photo is flat."""
    edges = ((x[:, 0, 1:, 1:] - x[:, 0, 1:, :-1]) ** 2 * 0).sqrt()
    return torch.stack([x.mean((1, 2, 3)) + edges.mean((1, 2)), -x.mean((1, 2, 3))], dim=1)


def not_defined_for_noise(x: Tensor) -> Tensor:
    """Two logits, of which one is infinite for photos, and finite for plain colors and noise."""
    logits = torch.stack([x.mean((1, 2, 3)) * 9, -x.mean((1, 2, 3))], dim=1)
    is_photo = (x.diff(dim=3).abs().mean((1, 2, 3)) - 0.05).abs() < 0.049
    return torch.where(is_photo[:, None], torch.tensor([torch.inf, 0.0]), logits)


@pytest.mark.parametrize("method", ["mp", "mp2", "mp2-g", "fido-ca"])
def test_a_gradient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    monkeypatch.setattr(checks, "gradient_fault", lambda *_: "")  # noise has one
    cfg = small(tmp_path, *SMALL, f"{HERE}roots", f"method={method}")
    with pytest.raises(UserError, match=GRADIENT):
        experiment.run(cfg, tmp_path / "run")
    assert not list((tmp_path / "heatmaps").rglob("*.npz"))


def test_a_score(tmp_path: Path) -> None:
    cfg = small(tmp_path, *SMALL, f"{HERE}not_defined_for_noise", "method=sp")
    with pytest.raises(UserError, match=r"^the classifier gives (NaN|infinity) for \w+: check its"):
        experiment.run(cfg, tmp_path / "run")
    assert not list((tmp_path / "heatmaps").rglob("*.npz"))


def test_first_choices(tmp_path: Path) -> None:
    logits = torch.zeros(3, 2)
    logits[1, 0] = torch.nan
    with pytest.raises(UserError, match="gives NaN or infinity for 1 of 3 images"):
        first_choices(LinearClassifier(torch.ones(3, 4, 4)), logits)


def test_a_judge(tmp_path: Path) -> None:
    judge = Judge(0.5, LinearClassifier(torch.full((3, 12, 12), torch.nan)))
    probe = linear_probe()
    with pytest.raises(UserError, match=r"gives NaN for noise0$"):
        judge.per_image(probe.heatmap(torch.rand(3, 3), (0.0, 1.0)), probe)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_heatmap_of_a_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float
) -> None:
    def undefined(self: Center, probe: Probe) -> Tensor:
        return torch.full((probe.size, probe.size), value)

    monkeypatch.setattr(Center, "values", undefined)
    cfg = small(tmp_path, "method=center", "metric=[deletion]")
    with pytest.raises(UserError, match=r"^method center gives NaN or infinity for \w+: such a h"):
        experiment.run(cfg, tmp_path / "run")
    assert not list((tmp_path / "heatmaps").rglob("*.npz"))


def test_a_stored_heatmap_is_explained_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cfg = small(tmp_path, "method=center", "metric=[]")
    experiment.run(cfg, tmp_path / "run")
    (path,) = (tmp_path / "heatmaps").rglob("*.npz")
    store = HeatmapStore(tmp_path / "heatmaps")
    heatmap = store.get(path.stem)
    store.put(path.stem, replace(heatmap, values=heatmap.values * torch.nan))
    assert store.get(path.stem) is None
    assert "holds NaN or infinity: explained again" in caplog.text
    experiment.run(cfg, tmp_path / "run")
    assert torch.equal(store.get(path.stem).values, heatmap.values)
