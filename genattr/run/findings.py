"""Results of a run so far."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from genattr.analysis.sensitivity import Sensitivity
from genattr.errors import BadPhotoError, UserError
from genattr.results.examples import Examples
from genattr.results.summary import Row
from genattr.run.pages import Pages
from genattr.scoring import Counts
from genattr.store.heatmaps import HeatmapStore
from genattr.types import Heatmap


class Entry(NamedTuple):
    """One heatmap of a run: its place among the others, its key in the store, its scores."""

    place: tuple[int, int]
    key: str
    row: Row


@dataclass
class Findings:
    """Results of a run so far.

    Attributes
    ----------
    entries
        One per heatmap, in the photos' order.
    failed
        One line for each photo that could not be read.
    examples
        The first photos.
    counts
        Images that the classifier scored, metrics included.
    sensitivity
        Similarity of the heatmaps under the values of ``sensitivity.over``, if that is set.
    varied
        Keys of these heatmaps in the store, by value, in the photos' order.
    pages
        A page for each heatmap, with ``report=true``.
    halved
        What was halved because memory did not suffice; see ``Room``.
    """

    entries: list[Entry] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    examples: Examples = field(default_factory=Examples)
    counts: Counts = field(default_factory=Counts)
    sensitivity: Sensitivity | None = None
    varied: Mapping[str, Sequence[str]] = field(default_factory=dict)
    pages: Pages = field(default_factory=Pages)
    halved: dict[str, int] = field(default_factory=dict)

    def add(self, place: tuple[int, int], key: str, row: Row) -> None:
        """Insert a heatmap's scores at its place; any order of calls works."""
        insort(self.entries, Entry(place, key, row), key=lambda entry: entry.place)

    def skip(self, error: BadPhotoError) -> None:
        """Record a photo that cannot be read."""
        self.failed.append(str(error))

    def join(self, part: Findings) -> None:
        """Take in what was found on a part of the run's photos."""
        for entry in part.entries:
            self.add(*entry)
        self.failed += part.failed
        self.examples.join(part.examples)
        self.pages.join(part.pages)
        self.counts.scored += part.counts.scored
        self.note_halved(part.halved)

    def note_halved(self, halved: Mapping[str, int]) -> None:
        """Take note of what was halved; of several processes the smallest numbers count."""
        for key, size in halved.items():
            self.halved[key] = min(size, self.halved.get(key, size))

    @property
    def rows(self) -> list[Row]:
        """One per heatmap: the photo, the target, and every metric's numbers."""
        return [entry.row for entry in self.entries]

    @property
    def keys(self) -> list[str]:
        """The heatmaps' keys in the store, in the same order."""
        return [entry.key for entry in self.entries]


def stored(store: HeatmapStore, keys: Sequence[str]) -> Iterator[Heatmap]:
    """Read heatmaps of this run back from the store, one at a time.

    Raises
    ------
    UserError
        If one is not there any more, or cannot be read.
    """
    for key in keys:
        heatmap = store.get(key)
        if heatmap is None:
            raise UserError(
                f"store={store.root}: {key[:16]} is not there any more, pruned or damaged while "
                "this run went on; the same command finds the others, and makes it again"
            )
        yield heatmap
