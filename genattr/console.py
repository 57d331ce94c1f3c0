"""The terminal: lines, and progress with time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from rich import progress
from rich.console import Console

from genattr import stopping
from genattr.told import visible, without_secrets

T = TypeVar("T")
STEP, SHORT, LONG = 0.1, 5.0, 60.0  # a line in a log: a tenth later and 5 seconds, or a minute
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

    @property
    def count(self) -> int:
        """How many heatmaps are finished."""
        return self._finished

    def _show(self) -> None:
        total = self._display.tasks[self._task].total or 0
        done = min((self._finished + self._skipped) * self._cost + self._open, total)
        skipped = f", {self._skipped} skipped" if self._skipped else ""
        self._display.update(self._task, completed=done, heatmap=self._finished, skipped=skipped)


class Lines(progress.Progress):
    """Progress where nothing can be drawn, in a pipe or a log: a line now and then.

    Parameters
    ----------
    columns
        As of a bar, which is left out.
    transient
        Nothing is told at the end.
    shown
        Something is told at all.
    """

    def __init__(
        self, *columns: progress.ProgressColumn, transient: bool = False, shown: bool = True
    ) -> None:
        super().__init__(*columns, console=console, disable=True)
        self._words = [one for one in columns if not isinstance(one, progress.BarColumn)]
        self._transient, self._shown = transient, shown
        self._told, self._when = 0.0, time.monotonic()

    def update(self, task_id: progress.TaskID, *args: Any, **kwargs: Any) -> None:
        """Advance, and perhaps tell."""
        super().update(task_id, *args, **kwargs)
        self._perhaps_tell(self.tasks[task_id])

    def advance(self, task_id: progress.TaskID, advance: float = 1) -> None:
        """Advance, and perhaps tell."""
        super().advance(task_id, advance)
        self._perhaps_tell(self.tasks[task_id])

    def stop(self) -> None:
        """Tell how it ended."""
        if self._shown and not self._transient:
            for task in self.tasks:
                self._tell(task)

    def _perhaps_tell(self, task: progress.Task) -> None:
        share = task.completed / task.total if task.total else 0.0
        waited = time.monotonic() - self._when
        due = waited > LONG or (waited > SHORT and share - self._told >= STEP)
        if self._shown and due and not task.finished:
            self._told, self._when = share, time.monotonic()
            self._tell(task)

    def _tell(self, task: progress.Task) -> None:
        texts = [str(column.render(task)) for column in self._words]
        say(f"{texts[0]}: {task.percentage:.0f} %, {' '.join(texts[1:])}")


def display(
    *columns: progress.ProgressColumn, transient: bool = False, shown: bool = True
) -> progress.Progress:
    """Return a progress bar with a name before, columns behind it, and the time left at the end.

    Where the output is no terminal that can draw it, lines tell of the progress.
    """
    around = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        *columns,
        progress.TextColumn("left"),
        progress.TimeRemainingColumn(),
    )
    if not draws():
        return Lines(*around, transient=transient, shown=shown)
    return progress.Progress(*around, console=console, transient=transient, disable=not shown)


def draws() -> bool:
    """Whether the output is a terminal that moves its cursor."""
    return console.file.isatty() and not console.is_dumb_terminal


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
        made = Bar(shown, task, cost)
        with stopping.keeping(lambda: f"{made.count} of {heatmaps} heatmaps are finished and kept"):
            yield made


def watched(title: str, things: Iterable[T], count: int) -> Iterator[T]:
    """Show progress over things that are gone through, under a title."""
    with display(transient=True) as shown:
        task = shown.add_task(title, total=count)
        for thing in things:
            yield thing
            shown.advance(task)


def watch_choosing(photos: Iterable[int], count: int) -> Iterable[int]:
    """Show progress over photos that are being chosen."""
    return watched("choosing photos", photos, count)


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
    console.print(visible(without_secrets(text)), soft_wrap=True, markup=False)
