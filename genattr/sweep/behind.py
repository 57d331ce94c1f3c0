"""What is left of a member when its work is done, in a thread while the next member works.

Fast to import, as ``genattr.sweep`` is.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

_last: Thread | None = None


def follow(rest: Callable[[], object]) -> None:
    """Begin with it once the member before has nothing left to do; it raises nothing."""
    global _last
    wait()
    _last = Thread(target=rest, name="behind")
    _last.start()


def wait() -> None:
    """Return when nothing is left to do."""
    if _last is not None:
        _last.join()
