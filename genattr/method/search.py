"""Several photos optimized together: one batch of the classifier takes a row of each.

A photo's result does not depend on its neighbors: every batch has the same number of rows, and a
photo that is finished makes room for the next at once.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeVar

from genattr.probe import Probe
from genattr.types import Heatmap


@dataclass
class Search(ABC):
    """The search for one photo's mask, between two steps.

    Attributes
    ----------
    probe
        The photo under test.
    seconds
        Its share of the time so far.
    """

    probe: Probe
    seconds: float = field(default=0.0, init=False)

    @property
    @abstractmethod
    def finished(self) -> bool:
        """No step is left to do."""

    @abstractmethod
    def heatmap(self) -> Heatmap:
        """Return the heatmap of the finished search."""


S = TypeVar("S", bound=Search)


def padded_rows(calls: int, photos: int, together: int) -> int:
    """Return an upper bound of the images that the network gets, padded batches included."""
    return calls * together * -(-photos // together)


def search_together(
    probes: Iterable[Probe],
    slots: int,
    begin: Callable[[Probe], S],
    advance: Callable[[Sequence[S]], None],
) -> Iterator[tuple[Probe, Heatmap]]:
    """Search for the masks of many photos, some at a time; yield each as it is finished.

    Parameters
    ----------
    probes
        Each is taken when there is room for its search.
    slots
        How many photos are searched at a time.
    begin
        Starts the search for one photo.
    advance
        Does one step of several searches.
    """
    waiting = iter(probes)
    running: list[S] = []
    while True:
        running += [begin(probe) for probe in islice(waiting, slots - len(running))]
        if not running:
            return
        _advance_timed(advance, [search for search in running if not search.finished])
        finished = [search for search in running if search.finished]
        running = [search for search in running if not search.finished]
        for search in finished:
            yield search.probe, replace(search.heatmap(), seconds=search.seconds)


def _advance_timed(advance: Callable[[Sequence[S]], None], searches: Sequence[S]) -> None:
    """Do a step, and divide its time among the photos."""
    if not searches:
        return
    start = time.perf_counter()
    advance(searches)
    for search in searches:
        search.seconds += (time.perf_counter() - start) / len(searches)
