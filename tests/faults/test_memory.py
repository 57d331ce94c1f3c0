"""Whole runs whose memory does not suffice."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import genattr
from genattr.engine.incremental import Photo
from genattr.results.summary import load_summary
from genattr.run import experiment
from tests.contract.options import small
from tests.faults.conftest import Tally
from tests.test_memory import limit
from tests.toys import load_network

NETWORK = load_network().eval()


def few_images(images: Tensor) -> Tensor:
    """The toy network, for at most four images."""
    if len(images) > 4:
        raise torch.OutOfMemoryError
    return NETWORK(images)


def many_images(images: Tensor) -> Tensor:
    """The toy network."""
    return NETWORK(images)


def explained(folder: Path, *overrides: str) -> list[Tensor]:
    """Run; return the heatmaps' values."""
    experiment.run(
        small(folder, "target=predicted", "metric=[deletion]", *overrides), folder / "run"
    )
    return [heatmap.values for heatmap in genattr.load(folder / "run")]


def test_a_run_goes_on_and_records_what_fitted(tmp_path: Path, tally: Tally) -> None:
    chosen = ["classifier=callable", "method=lime", "batch_size=16", "classifier.input_size=32"]
    path = f"classifier.path={__name__}:"
    many = explained(tmp_path / "many", *chosen, f"{path}many_images")
    few = explained(tmp_path / "few", *chosen, f"{path}few_images")
    for one, other in zip(many, few, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-5)
    assert "memory/batch_size" not in load_summary(tmp_path / "many" / "run").values
    assert load_summary(tmp_path / "few" / "run").metrics()["memory/batch_size"] == 4
    tally("run out of memory, whose batches were halved")


def test_windows_are_scored_in_smaller_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    chosen = ["classifier=timm", "method=sp", "engine=incremental", "selection.limit=1"]
    many = explained(tmp_path / "many", *chosen)
    failed = limit(monkeypatch, Photo, "logits", 5, times=3)
    few = explained(tmp_path / "few", *chosen)
    assert failed
    for one, other in zip(many, few, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-5)
    tally("windows out of memory, whose batches were halved", len(failed))
