"""What is left of a member when its work is done, in a thread while the next member works.

Fast to import, as ``genattr.sweep`` is.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread

_done = Event()  # of the last work; a thread whose join is interrupted counts as ended, and is not
_done.set()


def follow(rest: Callable[[], object]) -> None:
    """Begin with it once the member before has nothing left to do; it raises nothing."""
    wait()
    _done.clear()
    Thread(target=_work, args=(rest,), name="behind").start()


def _work(rest: Callable[[], object]) -> None:
    try:
        rest()
    finally:
        _done.set()


def wait() -> None:
    """Return when nothing is left to do; a stop that is asked for meanwhile comes then."""
    try:
        _done.wait()
    except (KeyboardInterrupt, SystemExit):
        _done.wait()
        raise
