"""A launcher of a sweep whose processes were ended from outside: told in one line.

Fast to import, as ``genattr.sweep`` is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hydra._internal import utils

from genattr.errors import LESS_MEMORY, wants_tracebacks

# what loky, Ray and submitit raise, by the names of the classes, as each may not be installed
ENDED = {"BrokenExecutor", "WorkerCrashedError", "OutOfMemoryError", "UncompletedJobError"}


@contextmanager
def in_one_line(how_to_go_on: Callable[[], str]) -> Iterator[None]:
    """End Hydra in one line, in the place of a traceback, where a process of a launcher was ended.

    Parameters
    ----------
    how_to_go_on
        The end of the line; empty: there is nothing to go on with.
    """
    report = utils.run_and_report

    def told(function: Callable[[], Any]) -> Any:
        try:
            return function()
        except Exception as error:
            if wants_tracebacks() or not was_ended(error):
                raise
            kept = "; ".join(filter(None, (_ended(error), how_to_go_on())))
            raise SystemExit(f"genattr: {kept}") from None

    utils.run_and_report = lambda func: report(lambda: told(func))
    try:
        yield
    finally:
        utils.run_and_report = report


def was_ended(error: Exception) -> bool:
    """Whether a launcher's error says that a process of its own was ended from outside."""
    return any(kind.__name__ in ENDED for kind in type(error).__mro__)


def _ended(error: Exception) -> str:
    return (
        "a process that ran members of the sweep was ended from outside, probably for want of "
        f"memory ({type(error).__name__}): let fewer run at once, {LESS_MEMORY}"
    )
