"""What a training tells: a bar with the time left, lines, a table of losses."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich import progress

from genattr.console import display
from genattr.files import replaced

FILE = "losses.csv"


@contextmanager
def reading(count: int) -> Iterator[Callable[[], None]]:
    """Show progress over photos that are read; give what to call after each."""
    with display(transient=True) as bar:
        task = bar.add_task("reading photos", total=count)
        yield lambda: bar.advance(task)


@contextmanager
def training(name: str, done: int, steps: int, shown: bool) -> Iterator[Callable[[str], None]]:
    """Show a bar with the time left; give what to call with the latest loss after each step."""
    step = progress.TextColumn("step {task.completed}/{task.total}, L1 {task.fields[loss]}")
    with display(step, progress.TimeElapsedColumn(), shown=shown) as bar:
        task = bar.add_task(name, total=steps, completed=done, loss="")
        yield lambda loss: bar.update(task, advance=1, loss=loss)


class Losses:
    """The table of losses in a folder, without rows of steps that are made again."""

    def __init__(self, folder: Path, done: int) -> None:
        self._file = folder / FILE
        self._rows: list[dict[str, str]] = []
        if self._file.is_file():
            with self._file.open(newline="") as opened:
                self._rows = [row for row in csv.DictReader(opened) if int(row["step"]) <= done]

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add a row, and write the table anew: columns come with the discriminator."""
        self._rows.append({"step": str(step)} | {key: f"{one:.6g}" for key, one in values.items()})
        names = list(dict.fromkeys(name for row in self._rows for name in row))
        with replaced(self._file) as temporary, temporary.open("w", newline="") as opened:
            writer = csv.DictWriter(opened, names, restval="")
            writer.writeheader()
            writer.writerows(self._rows)
