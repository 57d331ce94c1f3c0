"""Steps that a CUDA device records once and replays: it then never waits for Python."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

WARM_UP = 3  # plain steps before recording, in which libraries choose and allocate
CLOSE = 1e-5

log = logging.getLogger(__name__)


class Replayed:
    """A step that is recorded as it is first taken, and replayed from then on.

    It is taken plainly where it cannot be recorded, or where replaying gives other values.

    Parameters
    ----------
    step
        Reads and writes tensors that keep their places; in Python nothing may change by it.
    state
        All tensors that outlive a step and that it changes.
    """

    def __init__(self, step: Callable[[], None], state: Sequence[Tensor]) -> None:
        self._plain, self._state = step, state
        self._take: Callable[[], None] | None = None

    def __call__(self) -> None:
        if self._take is None:
            self._take = self._recorded() or self._plain
        self._take()

    def _recorded(self) -> Callable[[], None] | None:
        """Return the replay of the step if it gives the same; leave the state as it is."""
        start = [values.clone() for values in self._state]
        try:
            replay = record(self._plain)
            expected, found = (self._after(take, start) for take in (self._plain, replay))
        except RuntimeError as error:
            log.info("The GPU gets each step from Python: %s", str(error).partition("\n")[0])
            return None
        finally:
            self._return_to(start)
        if all(map(_are_close, expected, found)):
            return replay
        log.warning("The GPU gets each step from Python: replayed, it gives other values")
        return None

    def _after(self, take: Callable[[], None], start: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the state after one step from the start."""
        self._return_to(start)
        take()
        return [values.clone() for values in self._state]

    def _return_to(self, start: Sequence[Tensor]) -> None:
        for values, before in zip(self._state, start, strict=True):
            values.copy_(before)


def record(step: Callable[[], None]) -> Callable[[], None]:
    """Record a step on the current CUDA device, after a few plain ones, and return its replay.

    Raises
    ------
    RuntimeError
        If the step does what cannot be recorded, such as waiting for the device.
    """
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # others may load photos
        step()
    return graph.replay


def _are_close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one.double(), other.double(), rtol=0, atol=CLOSE, equal_nan=True)
