"""A bar for what takes longer than a second."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

from rich import progress
from rich.console import Console

from genattr.console import Bar

PATIENCE = 1.0  # seconds without a bar


@contextmanager
def bar(title: str, heatmaps: int, cost: int, *, shown: bool) -> Iterator[Bar]:
    """Show a bar as ``console.bar`` does, once a second has passed, where somebody looks at it.

    Parameters
    ----------
    heatmaps
        How many heatmaps there are to make.
    cost
        About how many images the classifier scores for each.
    shown
        False: never.
    """
    display = _display(shown)
    cost = max(cost, 1)
    task = display.add_task(title, total=heatmaps * cost, heatmap=0, heatmaps=heatmaps)
    timer = Timer(PATIENCE, display.start)
    timer.daemon = True
    timer.start()
    try:
        yield Bar(display, task, cost)
    finally:
        timer.cancel()
        timer.join()
        display.stop()


def _display(shown: bool) -> progress.Progress:
    """Return a bar of a console of its own, beside any bar that the user shows."""
    console = Console(stderr=True, highlight=False, emoji=False)
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
