"""Several photos optimized together: one batch of the classifier takes rows of each.

A photo's result does not depend on its neighbors: every batch has the same number of rows, and a
photo that is finished makes room for the next at once. All that a step reads and writes lies in
tensors that keep their shapes and places, and nothing in it waits for the device.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import ClassVar

from torch import Tensor

from genattr.method.base import Method
from genattr.method.mask import changes_nothing
from genattr.method.stack import Stack
from genattr.ops.graphs import Replayed
from genattr.probe import Probe
from genattr.types import Heatmap

UNSEEN = 8  # steps on an accelerator before Python looks at what has come of them, and so waits


@dataclass
class Entry:
    """What Python knows of the photo in a slot.

    Attributes
    ----------
    probe
        The photo.
    is_blind
        The filler returns the photo, so that no hole has an effect.
    entered
        Number of the search's step at which it came.
    seconds
        Its share of the time so far.
    finished
        No step is left to do.
    """

    probe: Probe
    is_blind: bool
    entered: int
    seconds: float = 0.0
    finished: bool = False
    _scored: int = 0
    _filled: int = 0

    def age(self, taken: int) -> int:
        """Return the steps since it came, after so many steps of the search."""
        return taken - self.entered

    def uncount(self) -> None:
        """Take back what ``count`` has counted."""
        self.probe.counts.scored -= self._scored
        self.probe.counts.filled -= self._filled

    def count(self, scored: int, filled: int) -> None:
        """Bring the probe's counts to so many images since it came."""
        if scored > self._scored:
            self.probe.counts.add_scored(scored - self._scored)
        self.probe.counts.filled += filled - self._filled
        self._scored, self._filled = scored, filled


class Search(ABC):
    """The search for the masks of several photos, each in a slot.

    Parameters
    ----------
    slots
        Photos at a time.
    bound
        Steps after which a photo that has come is finished for sure.
    like
        One of the probes; see ``Stack``.

    Attributes
    ----------
    entries
        One per slot; None: it is free.
    taken
        Steps that were taken, for any photo.
    """

    def __init__(self, slots: int, bound: int, like: Probe) -> None:
        self.stack = Stack(slots, like)
        self.bound = bound
        self.entries: list[Entry | None] = [None] * slots
        self.taken = 0
        self._classifier = like.classifier
        self._replayed: Replayed | None = None

    @property
    def running(self) -> Sequence[tuple[int, Entry]]:
        """The photos and their slots."""
        return [(slot, entry) for slot, entry in enumerate(self.entries) if entry is not None]

    @property
    def ages(self) -> Sequence[int]:
        """Steps that each photo has taken; 0 for a free slot."""
        return [entry.age(self.taken) if entry else 0 for entry in self.entries]

    def admit(self, probes: Iterator[Probe]) -> bool:
        """Let photos take the free slots; return whether there is any photo."""
        free = [slot for slot, entry in enumerate(self.entries) if entry is None]
        for slot, probe in zip(free, islice(probes, len(free)), strict=False):
            start = time.perf_counter()
            entry = Entry(probe, changes_nothing(probe), self.taken)
            entry.finished = entry.is_blind
            self.entries[slot] = entry
            self.stack.put(slot, probe)
            self.begin(slot, entry)
            entry.seconds = time.perf_counter() - start
        return any(self.entries)

    def advance(self) -> None:
        """Take some steps, look at what has come of them, and divide the time among the photos."""
        start = time.perf_counter()
        running = [entry for _, entry in self.running]
        left = min(self.bound - entry.age(self.taken) for entry in running)
        for _ in range(min(left, 1 if self.is_watched else UNSEEN)):
            self.bring()
            self._take_step()
            self.taken += 1
        self.look()
        for entry in running:
            entry.seconds += (time.perf_counter() - start) / len(running)

    @property
    def is_watched(self) -> bool:
        """Looking costs nothing, so that Python looks after each step."""
        return self.stack.images.device.type == "cpu"

    @property
    def finished(self) -> Sequence[int]:
        """Slots of the photos that are finished."""
        return [slot for slot, entry in self.running if entry.finished]

    def interrupted(self) -> list[Probe]:
        """Return the photos, as if they had never come."""
        for _, entry in self.running:
            entry.uncount()
        return [entry.probe for _, entry in self.running]

    def release(self, slot: int) -> tuple[Probe, Heatmap]:
        """Take a finished photo out of its slot, with its heatmap."""
        entry = self.entries[slot]
        assert entry is not None
        heatmap = replace(self.heatmap(slot, entry), seconds=entry.seconds)
        self.entries[slot] = None
        self.stack.free(slot)
        return entry.probe, heatmap

    def _take_step(self) -> None:
        if not self._is_recordable or self.asks:
            self.step()
            return
        if self._replayed is None:
            self._replayed = Replayed(self.step, self.state)
        self._replayed()

    @property
    def asks(self) -> bool:
        """A filler is asked in each step, which cannot be recorded."""
        return bool(self.stack.asking)

    @property
    def _is_recordable(self) -> bool:
        is_cuda = self.stack.images.device.type == "cuda"
        return is_cuda and self._classifier.network is not None

    def bring(self) -> None:
        """Bring to the device what the next step needs, without waiting."""
        return

    @property
    @abstractmethod
    def state(self) -> Sequence[Tensor]:
        """All tensors that a step changes."""

    @abstractmethod
    def begin(self, slot: int, entry: Entry) -> None:
        """Start the search for a photo that has taken a slot."""

    @abstractmethod
    def step(self) -> None:
        """Take a step for all slots; from Python it needs nothing that changes."""

    @abstractmethod
    def look(self) -> None:
        """Wait for the steps, learn which photos are finished, and count their images.

        Raises
        ------
        UserError
            If a gradient was NaN or infinite.
        """

    @abstractmethod
    def heatmap(self, slot: int, entry: Entry) -> Heatmap:
        """Return the heatmap of a photo that is finished."""


class SearchMethod(Method):
    """A method that explains several photos together, with the same results as one by one.

    Attributes
    ----------
    together
        Photos at a time.
    """

    needs_gradient: ClassVar[bool] = True
    together: int

    @abstractmethod
    def search(self, like: Probe) -> Search:
        """Return a search for so many photos at a time; ``like`` is one of their probes."""

    def rows(self, size: int, heatmaps: int) -> int:
        return self.calls(size) * self.together * -(-heatmaps // self.together)

    def explain(self, probe: Probe) -> Heatmap:
        return next(self.explain_many([probe]))[1]

    def explain_many(self, probes: Iterable[Probe]) -> Iterator[tuple[Probe, Heatmap]]:
        return search_together(probes, self.together, self._search)

    def _search(self, like: Probe, slots: int) -> Search:
        if slots == self.together:
            return self.search(like)
        return replace(self, together=slots).search(like)  # type: ignore[type-var]


def search_together(
    probes: Iterable[Probe], slots: int, begin: Callable[[Probe, int], Search]
) -> Iterator[tuple[Probe, Heatmap]]:
    """Search for the masks of many photos, some at a time; yield each as it is finished.

    Parameters
    ----------
    probes
        Each is taken when a slot is free for its search.
    slots
        How many photos are searched at a time; half as many, from the beginning for those that are
        under way, as often as memory does not suffice.
    begin
        Makes the search, from the first probe and the number of slots.
    """
    waiting = iter(probes)
    first = next(waiting, None)
    if first is None:
        return
    turns = _Turns([first, *islice(waiting, slots - 1)], slots, begin)
    while turns.has_work:
        yield from turns.room.fit(turns.take)
        turns.waiting += islice(waiting, turns.free)


class _Turns:
    """A search, and after a lack of memory another one with fewer slots.

    Parameters
    ----------
    waiting
        Probes that are not searched yet, at least one.
    slots, begin
        See ``search_together``.
    """

    def __init__(
        self, waiting: list[Probe], slots: int, begin: Callable[[Probe, int], Search]
    ) -> None:
        self.waiting, self.room = waiting, waiting[0].room.of("method.together", slots)
        self._begin = begin
        self._search: Search | None = None

    @property
    def has_work(self) -> bool:
        """Whether a probe waits or is searched."""
        return bool(self.waiting) or (self._search is not None and any(self._search.entries))

    @property
    def free(self) -> int:
        """How many more probes the search can take."""
        return self._search.entries.count(None) if self._search else self.room.size

    def take(self, slots: int) -> list[tuple[Probe, Heatmap]]:
        """Take some steps, and return the heatmaps that they finish."""
        search = self._search or self._begin(self.waiting[0], slots)
        coming = iter(self.waiting)
        try:
            search.admit(coming)
            if not search.finished:
                search.advance()
            found = [search.release(slot) for slot in search.finished]
        except Exception:
            self.waiting = list(dict.fromkeys([*search.interrupted(), *self.waiting]))
            self._search = None
            raise
        self.waiting, self._search = list(coming), search
        return found
