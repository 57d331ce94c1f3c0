"""When a recorded step is replayed, and when it is taken plainly."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import torch

from genattr.ops import graphs
from genattr.ops.graphs import Replayed


class Doubling:
    """A step that doubles a number, and how often Python took it."""

    def __init__(self) -> None:
        self.number = torch.ones(2)
        self.taken = 0

    def step(self) -> None:
        self.taken += 1
        self.number.mul_(2)

    def replayed(self) -> Replayed:
        return Replayed(self.step, [self.number])


def test_what_was_recorded_is_replayed_without_python(monkeypatch: pytest.MonkeyPatch) -> None:
    doubling, replays = Doubling(), []

    def record(step: Callable[[], None]) -> Callable[[], None]:
        step()  # warms up
        return lambda: (replays.append(1), doubling.number.mul_(2))

    monkeypatch.setattr(graphs, "record", record)
    step = doubling.replayed()
    for count in (1, 2, 3):
        step()
        assert doubling.number.tolist() == [2**count] * 2
    assert (doubling.taken, len(replays)) == (2, 4)  # each once for the comparison


@pytest.mark.parametrize("fault", ["fails", "differs"])
def test_it_is_taken_plainly_where_recording_fails_or_gives_other_values(
    fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    doubling = Doubling()

    def record(step: Callable[[], None]) -> Callable[[], None]:
        step()
        if fault == "fails":
            raise RuntimeError("operation not permitted when stream is capturing\nmore")
        return lambda: doubling.number.mul_(2.1)

    monkeypatch.setattr(graphs, "record", record)
    caplog.set_level(logging.INFO)
    step = doubling.replayed()
    for count in (1, 2, 3):
        step()
        assert doubling.number.tolist() == [2**count] * 2
    assert len(caplog.records) == 1
    expected = "not permitted" if fault == "fails" else "gives other values"
    assert expected in caplog.text


def test_without_a_cuda_device_recording_fails_and_the_step_is_taken() -> None:
    doubling = Doubling()
    if torch.cuda.is_available():
        pytest.skip("there is one")
    doubling.replayed()()
    assert doubling.number.tolist() == [2, 2]
