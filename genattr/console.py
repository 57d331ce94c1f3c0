"""What a person at the terminal sees: progress with time left, tables, where to look next."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich import progress
from rich.console import Console
from rich.table import Table
from rich.text import Text

from genattr.analysis.sensitivity import Sensitivity
from genattr.analysis.similarity import MEASURES
from genattr.analysis.statistics import Estimate
from genattr.analysis.table import Table as PaperTable
from genattr.results import Summary, label

console = Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 120)
ARROWS = {"lower": "↓", "higher": "↑"}


class Bar:
    """Progress through heatmaps of equal cost, measured in images that the classifier scores."""

    def __init__(self, display: progress.Progress, task: progress.TaskID, cost: int) -> None:
        self._display, self._task, self._cost = display, task, cost
        self._finished, self._open = 0, 0

    def scored(self, count: int) -> None:
        """Advance by some images, for heatmaps that are not finished yet."""
        self._open += count
        self._show()

    def finished(self, scored: int = 0) -> None:
        """Advance to the end of a heatmap, whatever it cost.

        Parameters
        ----------
        scored
            How many of the images counted so far were its own.
        """
        self._finished += 1
        self._open = max(self._open - scored, 0)
        self._show()

    def _show(self) -> None:
        total = self._display.tasks[self._task].total or 0
        done = min(self._finished * self._cost + self._open, total)
        self._display.update(self._task, completed=done, heatmap=self._finished)


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
    display = progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.TextColumn("heatmap {task.fields[heatmap]}/{task.fields[heatmaps]}"),
        progress.TimeElapsedColumn(),
        progress.TextColumn("left"),
        progress.TimeRemainingColumn(),
        console=console,
    )
    with display:
        cost = max(cost, 1)
        task = display.add_task(title, total=heatmaps * cost, heatmap=0, heatmaps=heatmaps)
        yield Bar(display, task, cost)


def watch_choosing(photos: Iterable[int], count: int) -> Iterable[int]:
    """Show progress over photos that are being chosen."""
    return progress.track(photos, "choosing photos", count, console=console, transient=True)


@contextmanager
def fetching(name: str, size: int | None) -> Iterator[Callable[[int], None]]:
    """Show progress of a download with speed and time left; give what to call with new bytes.

    Parameters
    ----------
    size
        Bytes in all, or None where the server does not say.
    """
    display = progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TextColumn("left"),
        progress.TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    with display:
        task = display.add_task(name, total=size)
        yield lambda count: display.advance(task, count)


def say(text: str) -> None:
    """Print a line as it is, never wrapped: paths and links stay whole."""
    console.print(text, soft_wrap=True, markup=False)


def show_scores(summaries: Sequence[Summary]) -> None:
    """Print one row a run: means with 95 % intervals; which way is better stands in the head."""
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("\nrun", overflow="fold")
    names = list(dict.fromkeys(name for summary in summaries for name in summary.scores))
    directions = {name: way for summary in summaries for name, way in summary.directions.items()}
    for name in names:
        head = f"{label(name)} {ARROWS[directions[name]]}".replace(" ", "\n", 1)
        table.add_column(Text(head), justify="right", no_wrap=True)
    for head in ("\nphotos", "seconds\na heatmap"):
        table.add_column(head, justify="right", no_wrap=True)
    for summary in summaries:
        cells = [_cell(summary.scores.get(name)) for name in names]
        seconds = f"{summary.values['seconds_per_heatmap']:.2f}"
        run = Text.assemble(f"{summary.title}\n", (summary.subtitle, "dim"))
        table.add_row(run, *cells, str(summary.photos), seconds)
    console.print(table)


def show_table(made: PaperTable) -> None:
    """Print ours beside the paper's, the comparisons and the notes."""
    say(f"\n{made.title}")
    for frame in (made.stand_up(), made.compare()):
        table = Table(show_edge=False, pad_edge=False)
        for index, column in enumerate(frame.columns):
            table.add_column(column, justify="right" if index else "left")
        for row in frame.itertuples(index=False):
            table.add_row(*map(Text, row))
        if len(frame):
            console.print(table)
    for note in made.notes:
        say(f"- {note}")


def show_similarities(groups: Sequence[Sensitivity]) -> None:
    """Print how alike heatmaps under several values are: a row a group, a column a measure."""
    for over in dict.fromkeys(group.over for group in groups):
        table = Table(show_edge=False, pad_edge=False)
        table.add_column(f"similarity over {over}", overflow="fold")
        for measure in MEASURES:
            table.add_column(f"{measure} ↑", justify="right", no_wrap=True)
        table.add_column("spread over photos, pairs", justify="right", no_wrap=True)
        for group in (group for group in groups if group.over == over):
            spreads = group.spreads
            name = Text.assemble(f"{group.title}\n", (", ".join(group.values), "dim"))
            told = "\n".join(
                f"{key} {one.over_images:.2f}, {one.over_pairs:.2f}".replace("nan", "–")
                for key, one in spreads.items()
            )
            table.add_row(name, *(_cell(one.score) for one in spreads.values()), told)
        console.print(table)
    for group in groups:
        for measure, one in group.spreads.items():
            if one.undefined_pairs:
                pairs = f"{one.undefined_pairs} of {one.pairs} pairs have a constant map"
                say(f"Undefined:     {measure}: {pairs}, {group.title}")


def tell_caveats(summaries: Sequence[Summary]) -> None:
    """Name thresholds that no held-out photos chose, counts of fillers, and unreadable photos."""
    fixed = {f"{name} {alpha:g}" for one in summaries for name, alpha in one.fixed_alphas.items()}
    if fixed:
        named = ", ".join(sorted(fixed))
        say(f"Fixed alpha:   {named}; selection.held_out=N would choose it on N other photos")
    for one in summaries:
        for name, count in one.values.items():
            if name.startswith("filler/") and count:
                fills = f"{count:.0f} of {one.values['filler_calls']:.0f} fills"
                what = name.removeprefix("filler/").replace("_", " ")
                say(f"Filler:        {what}: {fills} of {one.title}")
    for line in dict.fromkeys(line for summary in summaries for line in summary.failed):
        say(f"Skipped:       {line}")


def _cell(score: Estimate | None) -> str:
    if score is None or score.n == 0:
        return "–"
    if score.low != score.low:
        return f"{score.mean:.3f}"
    return f"{score.mean:.3f}\n\\[{score.low:.2f}, {score.high:.2f}]"
