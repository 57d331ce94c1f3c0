"""The interface of tracking stores, and the one that records nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from genattr.protocols import Component
from genattr.told import without_secrets


@dataclass(frozen=True)
class Example:
    """One heatmap as people look at it.

    Attributes
    ----------
    title
        Names of the photo and of the explained class, and the class's probability.
    step
        The photo's position, the same in every run over the same photos.
    photo, heatmap
        (D, D, 3) uint8: the photo, and the heatmap over it.
    """

    title: str
    step: int
    photo: NDArray[np.uint8]
    heatmap: NDArray[np.uint8]


class HalfOpenError(Exception):
    """A run was opened, and its store went away before it had the parameters.

    Parameters
    ----------
    message
        Why.
    run_id
        The run's.
    """

    def __init__(self, message: str, run_id: str) -> None:
        super().__init__(message)
        self.run_id = run_id


class Run:
    """An open run that is recorded nowhere but in its folder."""

    run_id: str | None = None

    def parameters(self, values: Mapping[str, str]) -> None:
        """Record the run's main choices."""

    def metrics(
        self, values: Mapping[str, float], step: int = 0, measured: float | None = None
    ) -> None:
        """Record aggregate numbers, or those of a step; undefined (NaN) ones are left out.

        Parameters
        ----------
        measured
            When they were, in seconds since the epoch; None: now.
        """

    def picture(self, key: str, step: int, pixels: NDArray[np.uint8]) -> None:
        """Record (H, W, 3) pixels as one step of a series of pictures."""

    def files(self, files: Sequence[Path]) -> None:
        """Record files."""

    def folder(self, folder: Path) -> None:
        """Record a folder with its contents, under its name."""

    def examples(self, examples: Sequence[Example]) -> None:
        """Record a few heatmaps for looking at, as images and as a table."""

    def tag(self, key: str, value: str) -> None:
        """Label the run."""

    def describe(self, text: str) -> None:
        """Set the run's description, in Markdown."""

    def confirm(self) -> None:
        """Raise the error of a run that could not be opened, if that is known; never wait."""

    def close(self, status: str, ended: float | None = None) -> None:
        """End the run as FINISHED, FAILED or KILLED.

        Parameters
        ----------
        ended
            When it ended, in seconds since the epoch; None: now.
        """

    def resume(self) -> None:
        """Mark a run that was closed as running again, in this process."""


@contextmanager
def closing(run: Run) -> Iterator[Run]:
    """Close the run in any case: FAILED on an exception, KILLED on Ctrl-C."""
    try:
        yield run
    except (KeyboardInterrupt, SystemExit):
        run.close("KILLED")
        raise
    except BaseException as error:
        run.tag("error", without_secrets(f"{type(error).__name__}: {error}")[:500])
        run.close("FAILED")
        raise
    run.close("FINISHED")


class Tracking(Component):
    """Where runs are recorded."""

    group: ClassVar[str] = "tracking"

    def reach(self) -> None:
        """Find out in a moment whether the store answers; UserError if it does not."""

    def prepare(self) -> None:
        """Prepare for runs; UserError if the store does not answer or does not work."""
        raise NotImplementedError

    def start(
        self,
        name: str,
        params: Mapping[str, str],
        tags: Mapping[str, str],
        started: float | None = None,
    ) -> Run:
        """Open a run.

        Parameters
        ----------
        started
            When it began, in seconds since the epoch; None: now.
        """
        raise NotImplementedError

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Tell any error of the store in one line, as a UserError."""
        yield

    @property
    def place(self) -> tuple[str, str]:
        """Where runs are recorded: the URI without its password, and the experiment."""
        return "", ""

    def find(self, tags: Mapping[str, str]) -> list[str]:
        """Return the ids of the runs with these tags, the oldest first."""
        raise NotImplementedError

    def reopen(self, run_id: str) -> Run:
        """Return a run that was closed, to add to its record."""
        raise NotImplementedError

    def how_to_look(self, search: Mapping[str, str], order_by: str, columns: Sequence[str]) -> str:
        """Return the lines that show the runs with these tags; empty where nothing shows them.

        Parameters
        ----------
        order_by
            Metric whose smallest value comes first.
        columns
            Metrics that a table of the runs shows.
        """
        raise NotImplementedError

    def how_to_look_at_run(self, run_id: str) -> str:
        """Return the lines that show one run; empty where nothing shows it."""
        raise NotImplementedError


@dataclass(frozen=True)
class NoTracking(Tracking):
    """Record nothing; a run's folder still holds all of its results."""

    def prepare(self) -> None:
        """Do nothing."""

    def start(
        self,
        name: str,
        params: Mapping[str, str],
        tags: Mapping[str, str],
        started: float | None = None,
    ) -> Run:
        """Open a run that keeps no record."""
        return Run()

    def find(self, tags: Mapping[str, str]) -> list[str]:
        """Find nothing."""
        return []

    def reopen(self, run_id: str) -> Run:
        """Return a run that keeps no record."""
        return Run()

    def how_to_look(self, search: Mapping[str, str], order_by: str, columns: Sequence[str]) -> str:
        """Return an empty text: there is no page to look at."""
        return ""

    def how_to_look_at_run(self, run_id: str) -> str:
        """Return an empty text: there is no page to look at."""
        return ""


def without_password(uri: str) -> str:
    """Return a URI with its password, if it has one, replaced by stars."""
    return without_secrets(uri)


def condition(tags: Mapping[str, str]) -> str:
    """Write the tags that a run must have as a search expression of MLflow."""
    return " and ".join(_equal(key, value) for key, value in tags.items())


def _equal(key: str, value: str) -> str:
    """Compare a tag; MLflow knows no way to escape a quote, but two kinds of them."""
    if "'" not in value:
        return f"tags.{key}='{value}'"
    if '"' not in value:
        return f'tags.{key}="{value}"'
    return f"tags.{key} LIKE '{value.replace(chr(39), '_')}'"
