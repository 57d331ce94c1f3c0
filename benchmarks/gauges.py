"""What a machine did during some work: seconds, the GPU's busy time, its memory; and a budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch

Work = Callable[[], int]  # returns how many images the classifier scored
Prepare = Callable[[float], Work]  # makes the work of a size ready; a size is a share of the whole
LARGER = 4.0  # a size is at most so many times the one before
RUNS = 3  # of a size: to warm up, to be timed, to be watched
SECTION = 0.5  # seconds of work that are watched kernel by kernel
T = TypeVar("T")


@dataclass
class Budget:
    """Seconds that are divided among parts, which come one after the other.

    What one part leaves, or takes beyond its share, the later ones divide.

    Attributes
    ----------
    seconds
        Of all parts.
    parts
        How many are still to come.
    clock
        Seconds that have passed.
    """

    seconds: float
    parts: int
    clock: Callable[[], float] = time.perf_counter
    start: float = field(init=False)

    def __post_init__(self) -> None:
        self.start = self.clock()

    @property
    def left(self) -> float:
        """Seconds that are left; 0 where the budget is used up."""
        return max(self.seconds - (self.clock() - self.start), 0.0)

    def share(self) -> float:
        """Return the seconds of the next part."""
        found = self.left / max(self.parts, 1)
        self.parts -= 1
        return found


@dataclass(frozen=True)
class Reading:
    """What was measured of some work.

    Attributes
    ----------
    size
        Share of the whole work.
    images
        Those that the classifier scored.
    seconds
        Wall time, warm, with the device synchronized before and after.
    busy
        Share of the time in which the GPU ran any kernel; None: not measured.
    peak_mb
        Most memory that tensors held on the GPU; None: not measured.
    """

    size: float
    images: int
    seconds: float
    busy: float | None
    peak_mb: float | None


@dataclass(frozen=True)
class Gauge:
    """Measures work on one device."""

    device: torch.device

    @property
    def is_gpu(self) -> bool:
        """Whether there is a GPU to watch."""
        return self.device.type == "cuda"

    def timed(self, work: Callable[[], T]) -> tuple[T, float]:
        """Return what the work returns, and its wall time in seconds."""
        self._finish()
        start = time.perf_counter()
        result = work()
        self._finish()
        return result, time.perf_counter() - start

    def read(self, prepare: Prepare, sizes: Sequence[float], seconds: float) -> Reading:
        """Measure the largest of some sizes of work that fits the seconds.

        Parameters
        ----------
        sizes
            From the smallest, each at most ``LARGER`` times the one before; the first is done
            whatever it takes.
        """
        end = time.perf_counter() + seconds
        prepare(sizes[0])()  # kernels are chosen and compiled
        took: dict[float, float] = {}
        for size in sizes if len(sizes) > 1 else ():
            if took and RUNS * LARGER * max(took.values()) > end - time.perf_counter():
                break
            took[size] = self.timed(prepare(size))[1]
        size = max(took, default=sizes[0])
        (images, warm), peak = self._with_peak(prepare(size))
        return Reading(size, images, warm, self._busy(prepare, took | {size: warm}), peak)

    def _with_peak(self, work: Work) -> tuple[tuple[int, float], float | None]:
        if not self.is_gpu:
            return self.timed(work), None
        torch.cuda.reset_peak_memory_stats(self.device)
        return self.timed(work), torch.cuda.max_memory_allocated(self.device) / 1e6

    def _busy(self, prepare: Prepare, took: dict[float, float]) -> float | None:
        """Return the kernels' time over that of the same work without the profiler, which slows."""
        if not self.is_gpu:
            return None
        size = max((size for size in took if took[size] <= SECTION), default=min(took))
        work = prepare(size)
        self._finish()
        busy = union(kernels(work))
        return min(busy / took[size], 1.0) if busy else None

    def _finish(self) -> None:
        if self.is_gpu:
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()


def kernels(work: Callable[[], object]) -> Iterator[tuple[float, float]]:
    """Yield beginning and end, in seconds, of all that a GPU does for some work, copies included.

    Intervals of several streams may overlap.
    """
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        work()
        torch.cuda.synchronize()
    for event in profile.events():
        if event.device_type == torch.autograd.DeviceType.CUDA and not event.is_user_annotation:
            yield event.time_range.start / 1e6, event.time_range.end / 1e6


def union(intervals: Iterable[tuple[float, float]]) -> float:
    """Return how long at least one of some intervals lasts."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(end - max(start, reached), 0.0)
        reached = max(reached, end)
    return total
