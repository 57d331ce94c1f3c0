"""A lack of memory: fewer images at a time, the same results, and one line."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch

from genattr import memory
from genattr.engine.incremental import Photo
from genattr.errors import UserError
from genattr.memory import ExhaustedError, Room
from genattr.types import DenseHoles
from tests.conftest import LinearClassifier, NoiseFiller, linear_probe, probes_of_one_classifier
from tests.method.test_search import Curved, toy_method, toy_probes

ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    MemoryError("Unable to allocate 3 GiB"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
]


def limit(
    monkeypatch: pytest.MonkeyPatch,
    kind: type,
    name: str,
    most: int,
    error: Exception = ERRORS[0],
    *,
    times: int = 1000,
) -> list[int]:
    """Let a class's method fail above a number of images, some times; return what failed."""
    work, failed = getattr(kind, name), []

    def watched(self: Any, first: Any, *others: Any) -> Any:
        images = others[0] if kind is Photo else first
        if len(images) > most and len(failed) < times:
            failed.append(len(images))
            raise error
        return work(self, first, *others)

    monkeypatch.setattr(kind, name, watched)
    return failed


def holes(count: int = 21, size: int = 12) -> DenseHoles:
    draws = torch.Generator().manual_seed(3)
    return DenseHoles(torch.rand(count, 1, size, size, generator=draws) > 0.5)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: str(error)[:12])
def test_batches_are_halved_once_and_told_once(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plain, probe = linear_probe(), linear_probe()
    expected = plain.score(holes())
    failed = limit(monkeypatch, LinearClassifier, "__call__", 2, error)
    with caplog.at_level(logging.WARNING):
        found = [probe.score(holes()) for _ in range(2)]
    for scores in found:
        assert torch.allclose(scores, expected, rtol=0, atol=1e-5)
    assert failed == [8, 4]
    assert probe.counts.scored == 2 * plain.counts.scored
    assert [record.getMessage() for record in caplog.records] == [
        "memory does not suffice for batch_size=8: 2 from now on"
    ]


def test_a_filler_gets_fewer_holes(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, probe = (linear_probe(filler=NoiseFiller()) for _ in range(2))
    hole = holes().expand(slice(None))
    expected = plain.fill(hole)
    assert limit(monkeypatch, NoiseFiller, "fill", 3) == []
    assert torch.equal(probe.fill(hole), expected)
    assert probe.counts.filled == plain.counts.filled == len(hole)
    assert probe.room.size == 2


def test_not_even_one_image_is_one_line_about_what_would_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limit(monkeypatch, LinearClassifier, "__call__", 0)
    with pytest.raises(ExhaustedError, match=r"^memory .* batch_size=1: precision=bf16"):
        linear_probe().score(holes())


@pytest.mark.parametrize(
    "error", [RuntimeError("CUDA error: device-side assert"), UserError("out of memory")]
)
def test_other_errors_are_no_lack_of_memory(error: Exception) -> None:
    def work(_: int) -> None:
        raise error

    room = Room("batch_size", 8)
    with pytest.raises(type(error)):
        room.fit(work)
    assert room.size == 8


def test_a_lack_of_memory_is_known_behind_the_line_that_tells_it() -> None:
    error = UserError("classifier fails on images")
    error.__cause__ = ERRORS[2]
    assert memory.is_exhausted(error)


@pytest.mark.parametrize("option", ["mp2", "fido-ca", "mp"])
def test_photos_are_searched_fewer_at_a_time(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method = toy_method(option, together=4)
    expected = {one.image_id: one for _, one in method.explain_many(toy_probes(NoiseFiller()))}
    probes = toy_probes(NoiseFiller())
    _ = [probe.original for probe in probes]
    failed = limit(monkeypatch, Curved, "__call__", 3, times=1)
    found = {one.image_id: one for _, one in method.explain_many(probes)}
    assert len(failed) == 1
    assert probes[0].room.halved == {"method.together": 2}
    assert found.keys() == expected.keys()
    for name, heatmap in found.items():
        assert torch.allclose(heatmap.values, expected[name].values, rtol=0, atol=1e-5)
        assert heatmap.n_scored == expected[name].n_scored


def test_what_fails_outside_of_a_search_does_not_begin_it_anew() -> None:
    def failing() -> Any:
        yield from probes_of_one_classifier(2)
        raise ExhaustedError("elsewhere")

    with pytest.raises(ExhaustedError, match="elsewhere"):
        list(toy_method("mp2", together=2).explain_many(failing()))
