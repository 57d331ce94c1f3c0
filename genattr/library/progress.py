"""A bar for what takes longer than a second."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from threading import Timer

from rich import progress
from rich.console import Console

from genattr.console import Bar

PATIENCE = 1.0  # seconds without a bar


class Waiting:
    """A bar that says at first that all is made ready, and then how far the work is."""

    def __init__(self, display: progress.Progress, heatmaps: int) -> None:
        self._display, self._heatmaps = display, heatmaps
        self._task = display.add_task("getting ready", total=None, heatmap=0, heatmaps=heatmaps)

    def begin(self, title: str, cost: int) -> Bar:
        """Show how far the work is.

        Parameters
        ----------
        cost
            About how many images the classifier scores for each heatmap.
        """
        cost = max(cost, 1)
        self._display.update(self._task, description=title, total=self._heatmaps * cost)
        return Bar(self._display, self._task, cost)


@contextmanager
def waiting(heatmaps: int, *, shown: bool) -> Iterator[Waiting]:
    """Show a bar once a second has passed, where somebody looks at it.

    Parameters
    ----------
    heatmaps
        How many there are to make or to score.
    shown
        False: never.
    """
    display = _display(shown)
    timer = Timer(PATIENCE, display.start)
    timer.daemon = True
    timer.start()
    try:
        yield Waiting(display, heatmaps)
    finally:
        timer.cancel()
        timer.join()
        display.stop()


def _console() -> Console:
    """Return a console of the bar's own; a notebook without widgets is written to as a terminal."""
    console = Console(stderr=True, highlight=False, emoji=False)
    if not console.is_jupyter or find_spec("ipywidgets") is not None:
        return console
    width = console.width
    return Console(stderr=True, emoji=False, force_jupyter=False, force_terminal=True, width=width)


def _display(shown: bool) -> progress.Progress:
    """Return a bar beside any bar that the user shows."""
    console = _console()
    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.TextColumn("heatmap {task.fields[heatmap]}/{task.fields[heatmaps]}"),
        progress.TimeElapsedColumn(),
        progress.TextColumn("left"),
        progress.TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (shown and (console.is_terminal or console.is_jupyter)),
    )
