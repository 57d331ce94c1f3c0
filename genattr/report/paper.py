"""The tables of the paper as data: their numbers, and which runs are compared with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter

from genattr.errors import require

FILE = Path(__file__).with_name("paper.yaml")
Number = float | tuple[float, float] | None


class Place(BaseModel):
    """The conditions of a row or a column on a member; a cell combines both.

    Attributes
    ----------
    method
        Its method's title, such as "SP-G".
    where
        Keys of its configuration and their values; the key of a component has the name of its
        option, and ``inpainter`` matches any filler that inpaints.
    score
        The score that is shown, such as ``deletion/auc``.
    scores
        By score, the one that is shown instead; None: nothing.
    value
        A plain number of the run that is shown, such as a chosen threshold.
    better
        Which way the score is better.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str | None = None
    where: Mapping[str, str] = {}
    score: str | None = None
    scores: Mapping[str, str | None] = {}
    value: str | None = None
    better: Literal["lower", "higher"] | None = None

    def __or__(self, other: Place) -> Place:
        """Combine both conditions; if both set a field, the other's value counts."""
        asked = {name: getattr(other, name) for name in other.model_fields_set}
        merged = self.model_copy(update=asked | {"where": {**self.where, **other.where}})
        return merged.model_copy(update={"scores": {**self.scores, **other.scores}})

    @property
    def shown(self) -> str | None:
        """The score that is shown in the end."""
        return self.scores.get(self.score, self.score) if self.score else None


class Published(BaseModel):
    """One table.

    Attributes
    ----------
    title
        Its number in the paper, and its subject.
    columns, rows
        In the paper's order.
    pairs
        Names of two columns, or of two rows, that are compared: first minus second.
    paper
        By dataset and row, one number per column, or a mean with its deviation over photos.
    notes
        Remarks for the reader.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    columns: Mapping[str, Place]
    rows: Mapping[str, Place]
    pairs: Sequence[tuple[str, str]]
    paper: Mapping[str, Mapping[str, Sequence[Number]]]
    notes: Sequence[str] = ()

    def number(self, dataset: str, row: str, column: str) -> tuple[float | None, float | None]:
        """Return the paper's number and its deviation; None where it has none."""
        numbers = self.paper.get(dataset, {}).get(row)
        value = numbers[list(self.columns).index(column)] if numbers is not None else None
        return value if isinstance(value, tuple) else (value, None)


@cache
def tables() -> Mapping[str, Published]:
    """Return every table by its name, which is that of the experiment that makes it."""
    text = FILE.read_text(encoding="utf-8")
    return TypeAdapter(dict[str, Published]).validate_python(yaml.safe_load(text))


def table(name: str) -> Published:
    """Return a table; UserError names the known ones."""
    by_name = tables()
    require(name in by_name, f"table={name}: no such table; there is {', '.join(by_name)}")
    return by_name[name]
