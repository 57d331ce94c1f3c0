"""Cases that Hypothesis draws, the same ones each time, and none of which may hang."""

from __future__ import annotations

import faulthandler
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from hypothesis import HealthCheck

SECONDS = 10  # of work for one case
STUCK = 180  # seconds after which a process is ended
GENERATED: dict[str, Any] = {
    "derandomize": True,
    "database": None,
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
}


class HangError(BaseException):
    """A case took too long; no exception, which somebody might take for one of other people's."""


@contextmanager
def in_time(seconds: int = SECONDS) -> Iterator[None]:
    """Raise after so much work; end the process if it waits for something, or is never asked."""

    def stop(_: int, __: FrameType | None) -> None:
        raise HangError

    before = signal.signal(signal.SIGPROF, stop)
    faulthandler.dump_traceback_later(STUCK, exit=True, file=sys.__stderr__)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGPROF, before)
