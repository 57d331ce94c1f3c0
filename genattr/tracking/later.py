"""Runs that are opened in a thread while work begins: some stores take seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from genattr.tracking.base import Example, Run, Tracking

T = TypeVar("T")


def prepared(tracking: Tracking, *, is_begun: bool = False) -> Future[None]:
    """Prepare a tracking store in a thread; UserError at once if it does not answer.

    Parameters
    ----------
    is_begun
        Its sweep has begun, so that a store that does not answer is found out in the thread alone.
    """
    if not is_begun:
        tracking.reach()
    return _in_thread(tracking.prepare)


class Later(Run):
    """A run that a thread opens; what needs the open run waits for it.

    If it cannot be opened, whatever needs it raises the error, but for its closing.

    Parameters
    ----------
    preparation
        What has to end first.
    start
        Opens the run.
    """

    def __init__(self, preparation: Future[None], start: Callable[[], Run]) -> None:
        def opened() -> Run:
            preparation.result()
            return start()

        self._opening = _in_thread(opened)

    @property
    def run_id(self) -> str | None:  # type: ignore[override]
        return self._run.run_id

    @property
    def _run(self) -> Run:
        return self._opening.result()

    def confirm(self) -> None:
        if self._opening.done():
            self._opening.result()

    def metrics(
        self, values: Mapping[str, float], step: int = 0, measured: float | None = None
    ) -> None:
        self._run.metrics(values, step, measured)

    def picture(self, key: str, step: int, pixels: NDArray[np.uint8]) -> None:
        self._run.picture(key, step, pixels)

    def files(self, files: Sequence[Path]) -> None:
        self._run.files(files)

    def folder(self, folder: Path) -> None:
        self._run.folder(folder)

    def examples(self, examples: Sequence[Example]) -> None:
        self._run.examples(examples)

    def tag(self, key: str, value: str) -> None:
        if self._opening.exception() is None:
            self._run.tag(key, value)

    def describe(self, text: str) -> None:
        if self._opening.exception() is None:
            self._run.describe(text)

    def close(self, status: str, ended: float | None = None) -> None:
        if self._opening.exception() is None:
            self._run.close(status, ended)

    def resume(self) -> None:
        self._run.resume()


def _in_thread(function: Callable[[], T]) -> Future[T]:
    """Call a function in a thread of its own; the process ends after it."""
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tracking")
    future = pool.submit(function)
    pool.shutdown(wait=False)
    return future
