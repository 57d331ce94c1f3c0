"""Fewer bits for the classifier, and the size of batches."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genattr import component, environment
from genattr.classifier import precision
from genattr.protocols import Classifier
from genattr.results.summary import load_summary
from genattr.run import experiment
from tests.conftest import LinearClassifier
from tests.contract.options import compose_config
from tests.sweep.test_lifecycle import SMALL

TINY = [*SMALL, "metric.deletion.tie_seeds=1", "tracking=none"]
CPU = torch.device("cpu")


def test_32_bits_are_the_classifier_itself() -> None:
    classifier = LinearClassifier(torch.zeros(3, 4, 4))
    assert precision.reduce(classifier, "fp32", CPU) is classifier


def test_16_bits_round_as_bfloat16_does() -> None:
    weights = torch.randn(1000, 3 * 16 * 16, generator=torch.Generator().manual_seed(0)) / 16

    class Products(Classifier):
        def __call__(self, images: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.linear(images.flatten(1), weights)

    images = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    reduced = precision.reduce(Products(), "bf16", CPU)
    expected = images.flatten(1).bfloat16() @ weights.T.bfloat16()
    found = reduced(images)
    assert found.dtype == torch.float32
    assert torch.allclose(found, expected.float(), atol=0.02, rtol=0.01)
    exact = Products()(images)
    assert not torch.equal(found, exact)
    moved = (found.softmax(1) - exact.softmax(1)).abs().max()
    assert reduced.difference(images) == pytest.approx(float(moved))


def test_a_run_tells_how_far_16_bits_move_probabilities(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for bits in ("fp32", "bf16"):
        cfg = compose_config(*TINY, "method=mp2", "method.max_steps=2", f"precision={bits}",
                             f"store={tmp_path}/store")  # fmt: skip
        experiment.run(cfg, tmp_path / bits)
    values = load_summary(tmp_path / "bf16").values
    assert 0 < values["precision/largest_difference"] < 0.05
    assert "precision/largest_difference" not in load_summary(tmp_path / "fp32").values
    assert "Precision:     bf16 moves a probability by" in capsys.readouterr().out
    assert len(list((tmp_path / "store").rglob("*.npz"))) == 4


def test_the_bits_are_part_of_what_determines_a_heatmap() -> None:
    cfg = compose_config(*TINY, "precision=bf16")
    reduced = experiment.assemble(cfg).classifier
    exact = experiment.assemble(compose_config(*TINY)).classifier
    assert component.identity(reduced)["classifier"] == component.identity(exact)
    assert component.identity(reduced)["precision"] == "bf16"
    assert "device" not in component.identity(reduced)


def test_a_cpu_takes_the_usual_batch() -> None:
    study = experiment.assemble(compose_config(*TINY))
    assert study.cfg.batch_size == environment.USUAL_BATCH


@pytest.mark.parametrize(("free", "expected"), [(4 * 65 * 1000, 64), (4 * 10**9, 512), (10, 1)])
def test_a_gpu_takes_what_a_quarter_of_its_memory_holds(
    monkeypatch: pytest.MonkeyPatch, free: int, expected: int
) -> None:
    """Stands in for the GPU: an image takes 1,000 bytes."""
    used = iter([500, 500 + 1000 * environment.USUAL_BATCH])
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: next(used))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: next(used))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10**12))
    zeros = torch.zeros
    monkeypatch.setattr(torch, "zeros", lambda *shape, device: zeros(*shape))
    classifier = LinearClassifier(zeros(3, 4, 4))
    assert environment.fitting_batch(classifier, torch.device("cuda")) == expected


@given(limit=st.integers(-3, 10**6))
def test_batches_are_powers_of_two(limit: int) -> None:
    size = environment.power_of_two(limit)
    assert size.bit_count() == 1
    assert size <= max(limit, 1)
    assert 2 * size > limit or size == environment.LARGEST_BATCH
