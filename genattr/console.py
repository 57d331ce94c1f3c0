"""The terminal: lines, and progress with time left."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich import progress
from rich.console import Console

console = Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 120)


class Progress:
    """Takes note of progress through heatmaps, in images that the classifier scores."""

    def scored(self, count: int) -> None:
        """Advance by some images, for heatmaps that are not finished yet."""
        raise NotImplementedError

    def finished(self, scored: int = 0) -> None:
        """Advance to the end of a heatmap, however many images it scored.

        Parameters
        ----------
        scored
            Number of images counted so far that belong to it.
        """
        raise NotImplementedError

    def skipped(self, heatmaps: int) -> None:
        """Advance over heatmaps that will not be made, as their photo cannot be read."""
        raise NotImplementedError


class Bar(Progress):
    """Progress through heatmaps of equal cost, on the terminal."""

    def __init__(self, display: progress.Progress, task: progress.TaskID, cost: int) -> None:
        self._display, self._task, self._cost = display, task, cost
        self._finished, self._skipped, self._open = 0, 0, 0

    def scored(self, count: int) -> None:
        self._open += count
        self._show()

    def finished(self, scored: int = 0) -> None:
        self._finished += 1
        self._open = max(self._open - scored, 0)
        self._show()

    def skipped(self, heatmaps: int) -> None:
        self._skipped += heatmaps
        self._show()

    def _show(self) -> None:
        total = self._display.tasks[self._task].total or 0
        done = min((self._finished + self._skipped) * self._cost + self._open, total)
        skipped = f", {self._skipped} skipped" if self._skipped else ""
        self._display.update(self._task, completed=done, heatmap=self._finished, skipped=skipped)


def display(
    *columns: progress.ProgressColumn, transient: bool = False, shown: bool = True
) -> progress.Progress:
    """Return a progress bar with a name before, columns behind it, and the time left at the end."""
    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        *columns,
        progress.TextColumn("left"),
        progress.TimeRemainingColumn(),
        console=console,
        transient=transient,
        disable=not shown,
    )


@contextmanager
def bar(title: str, heatmaps: int, cost: int) -> Iterator[Bar]:
    """Show a progress bar with the time left.

    Parameters
    ----------
    heatmaps
        How many heatmaps there are to make.
    cost
        About how many images the classifier scores for each.
    """
    heatmap = progress.TextColumn(
        "heatmap {task.fields[heatmap]}/{task.fields[heatmaps]}{task.fields[skipped]}"
    )
    with display(heatmap, progress.TimeElapsedColumn()) as shown:
        cost = max(cost, 1)
        task = shown.add_task(
            title, total=heatmaps * cost, heatmap=0, heatmaps=heatmaps, skipped=""
        )
        yield Bar(shown, task, cost)


def watch_choosing(photos: Iterable[int], count: int) -> Iterable[int]:
    """Show progress over photos that are being chosen."""
    return progress.track(photos, "choosing photos", count, console=console, transient=True)


@contextmanager
def fetching(name: str, size: int | None) -> Iterator[Callable[[int], None]]:
    """Show progress of a download with speed and time left; yield a function that adds bytes.

    Parameters
    ----------
    size
        Total bytes, or None if the server does not announce them.
    """
    columns = (progress.DownloadColumn(), progress.TransferSpeedColumn())
    with display(*columns, transient=True) as shown:
        task = shown.add_task(name, total=size)
        yield lambda count: shown.advance(task, count)


def say(text: str) -> None:
    """Print a line as it is, never wrapped: paths and links stay whole."""
    console.print(text, soft_wrap=True, markup=False)
