"""Ctrl-C, SIGTERM and faults: work is closed in order, and one line says what was kept.

The line is made of what the code on the way up adds to the exception by ``keeping``.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from threading import Thread
from typing import NoReturn

from genattr.errors import INTERRUPTED, TERMINATED, FaultError, UserError, obstacle
from genattr.told import without_secrets

LOOK = 0.1  # seconds between two looks at the process that started this one


class Told(SystemExit):
    """The end of the process, after its line."""


@contextmanager
def in_one_line() -> Iterator[None]:
    """End the process in one line when Ctrl-C or SIGTERM asks for it: exit code 130 or 143.

    While it closes its work, a second Ctrl-C is told to wait, and a third ends it at once.
    """
    interrupt = signal.signal(signal.SIGINT, _interrupt)
    terminate = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except Told:
        raise
    except BaseException as error:
        if not was_asked(error):
            signal.signal(signal.SIGINT, interrupt)
            raise
        end(error)
    else:
        signal.signal(signal.SIGINT, interrupt)
    finally:
        signal.signal(signal.SIGTERM, terminate)


def was_asked(error: BaseException | None) -> bool:
    """Whether an exception stands for Ctrl-C or SIGTERM."""
    ended = isinstance(error, SystemExit) and error.code in (TERMINATED, INTERRUPTED)
    return ended or isinstance(error, KeyboardInterrupt)


def end(error: BaseException) -> NoReturn:
    """Say what was kept, and end the process."""
    print("; ".join(["genattr: stopped", *getattr(error, "__notes__", ())]), file=sys.stderr)
    code = error.code if isinstance(error, SystemExit) else INTERRUPTED
    raise Told(code) from None


@contextmanager
def keeping(describe: Callable[[], str]) -> Iterator[None]:
    """Add to the line of a stop or a fault what is kept of the work inside; empty adds nothing."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, Exception) as error:
        add(error, describe())
        raise


def add(error: BaseException | None, text: str) -> None:
    """Add a part to the line of a stop or a fault; nothing to an exception that is none."""
    if error is not None and text and (was_asked(error) or _is_fault(error)):
        error.add_note(text)


def _is_fault(error: BaseException) -> bool:
    if isinstance(error, UserError):
        return isinstance(error, FaultError)
    return obstacle(error) is not None


def command(program: str, words: Sequence[str] = ()) -> str:
    """Return what was typed, with further words, as one types it."""
    return f"{program} {shlex.join(map(without_secrets, [*sys.argv[1:], *words]))}".strip()


@cache
def end_with_parent() -> None:
    """End this process when the one that started it has ended, however that was; in a thread."""
    from multiprocessing import parent_process

    parent = parent_process()
    number = os.getppid() if parent is None else parent.pid
    Thread(target=_end_without, args=(number,), name="parent", daemon=True).start()


def _end_without(parent: int | None) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK)
    os._exit(TERMINATED)


def _interrupt(*_: object) -> None:
    """End by the first Ctrl-C; what asks again does not break the closing."""
    _close_in_peace()
    raise KeyboardInterrupt


def _close_in_peace() -> None:
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, _wait)


def _wait(*_: object) -> None:
    signal.signal(signal.SIGINT, _at_once)
    os.write(2, b"genattr: closing what was begun; once more ends it at once\n")


def _at_once(*_: object) -> None:
    os._exit(INTERRUPTED)


def _terminate(*_: object) -> None:
    """End as after Ctrl-C, so that runs are closed: schedulers send SIGTERM before SIGKILL."""
    _close_in_peace()
    raise SystemExit(TERMINATED)
