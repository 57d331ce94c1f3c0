"""Work that is cut smaller where memory does not suffice, on a GPU or not."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

from genattr.errors import FaultError, is_of_memory

log = logging.getLogger(__name__)
T = TypeVar("T")


class ExhaustedError(FaultError):
    """Memory does not suffice for one of the things that are worked on."""


class Room:
    """How many of something are worked on at a time: fewer once memory did not suffice.

    Parameters
    ----------
    key
        The setting that says how many.
    most
        So many, as long as memory suffices.
    halved
        What was halved so far in the run, by key; all rooms of the run share it.
    """

    def __init__(self, key: str, most: int, halved: dict[str, int] | None = None) -> None:
        self.key, self.most = key, most
        self.halved = {} if halved is None else halved

    def of(self, key: str, most: int) -> Room:
        """Return the room of something else in the same run."""
        return Room(key, most, self.halved)

    @property
    def size(self) -> int:
        """How many at a time, from now on."""
        return min(self.most, self.halved.get(self.key, self.most))

    def fit(self, work: Callable[[int], T]) -> T:
        """Work, with half as many at a time as often as memory does not suffice.

        Parameters
        ----------
        work
            Gets the number; what it did before the failure is done again.

        Raises
        ------
        ExhaustedError
            If memory does not even suffice for one.
        """
        return self._fit(lambda: self.size, work)

    def each(self, count: int, work: Callable[[slice], T], *, whole: bool = False) -> Iterator[T]:
        """Yield the results of work on rows, so many at a time; see ``fit``.

        Parameters
        ----------
        count
            Of the rows.
        whole
            All at a time until memory does not suffice.
        """
        start = 0
        while start < count:
            rows, result = self._piece(start, count, work, whole=whole)
            yield result
            start = rows.stop

    def _piece(
        self, start: int, count: int, work: Callable[[slice], T], *, whole: bool
    ) -> tuple[slice, T]:
        """Work on the next rows; return which ones these were, and the result."""

        def size() -> int:
            is_whole = whole and self.key not in self.halved
            return count - start if is_whole else min(count - start, self.size)

        def piece(rows: int) -> tuple[slice, T]:
            which = slice(start, start + rows)
            return which, work(which)

        return self._fit(size, piece)

    def _fit(self, size: Callable[[], int], work: Callable[[int], T]) -> T:
        was_halved = False
        while True:
            tried = size()
            try:
                result = work(tried)
            except Exception as error:
                if not is_exhausted(error):
                    raise
                self._halve(tried)
            else:
                if was_halved:
                    self._tell()
                return result
            was_halved = True
            free()  # not before the error and its frames are gone

    def _halve(self, tried: int) -> None:
        """Take half as many from now on; ExhaustedError where that is none."""
        if tried == 1:
            raise ExhaustedError(
                f"memory does not suffice even with {self.key}=1: precision=bf16 and a smaller "
                "classifier need less, device=cpu has more; or end what else uses it"
            ) from None
        self.halved[self.key] = min(tried // 2, self.size)

    def _tell(self) -> None:
        line = "memory does not suffice for %s=%d: %d from now on"
        log.warning(line, self.key, self.most, self.size)


def is_exhausted(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is that memory does not suffice."""
    while error is not None:
        if isinstance(error, ExhaustedError) or is_of_memory(error):
            return True
        error = error.__cause__
    return False


def joined(parts: Iterable[Tensor]) -> Tensor:
    """Join tensors along their first axis; one alone stays as it is."""
    first, *others = parts
    return torch.cat([first, *others]) if others else first


def free() -> None:
    """Give back memory that nothing uses any more, such as what failed work has left behind."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
