"""What is to run, and what of it is still to do."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict

FILE = Path(__file__).with_name("rows.yaml")
FOUND = Path(__file__).with_name("found")
TABLE = "per_image.parquet"


class More(BaseModel):
    """Overrides for the first photos of a group, such as further metrics."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    photos: int
    overrides: Sequence[str]


class Group(BaseModel):
    """A table or a question.

    Attributes
    ----------
    of
        ``evaluation``: photos of the claims that the classifier gets right; ``all`` photos.
    evaluated, held_out
        How many of these are scored, and how many photos of the choices choose a threshold.
    chunk
        Photos of a row at a time.
    metrics, thresholds
        Overrides for the photos of the claims, and for those of the choices.
    rows
        Overrides of each row.
    classifier
        Option that explains.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    of: Literal["evaluation", "all"] = "evaluation"
    evaluated: int
    held_out: int = 0
    chunk: int
    metrics: Sequence[str]
    thresholds: Sequence[str] = ()
    more: More = More(photos=0, overrides=())
    rows: Mapping[str, Sequence[str]]
    classifier: str = "efficientnet_lite0"

    def told(self, row: str) -> list[str]:
        """Return a row's overrides, whatever its photos are for."""
        return [f"classifier={self.classifier}", *self.rows[row]]


class Plan(BaseModel):
    """All groups, in the order of their worth, and the overrides that they share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    photos: Sequence[str]
    groups: Mapping[str, Group]


@dataclass(frozen=True)
class Job:
    """Some photos of one row.

    Attributes
    ----------
    group, row
        Names.
    split
        ``evaluation`` or ``held_out``.
    photos
        Names, in the dataset's order.
    overrides
        All but those that choose photos and folders.
    """

    group: str
    row: str
    split: str
    photos: Sequence[str]
    overrides: Sequence[str]

    @property
    def folder(self) -> Path:
        """Where the row's scores are kept, inside of ``found``."""
        return folder(self.group, self.row)


def folder(group: str, row: str) -> Path:
    """Return where a row's scores are kept, inside of ``found``."""
    return Path(group, row.replace(" ", "_"))


def read(file: Path = FILE) -> Plan:
    """Read the plan."""
    return Plan.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))


def part(
    whole: Plan,
    names: Sequence[str],
    photos: int,
    rows: Sequence[str] = (),
    held_out: int | None = None,
) -> Plan:
    """Return some groups of a plan, with so many photos at most.

    Parameters
    ----------
    rows
        These alone; all if there are none.
    held_out
        Photos that choose, at most; a quarter of the others if it is not given.
    """
    choosing = math.ceil(photos / 4) if held_out is None else held_out
    groups = {
        name: group.model_copy(
            update={
                "evaluated": min(group.evaluated, photos),
                "held_out": min(group.held_out, choosing),
                "rows": {row: of for row, of in group.rows.items() if row in (rows or group.rows)},
            }
        )
        for name, group in whole.groups.items()
        if name in names
    }
    return whole.model_copy(update={"groups": groups})


def pending(
    plan: Plan, photos: Mapping[str, Mapping[str, Sequence[str]]], found: Path = FOUND
) -> Iterator[Job]:
    """Yield what is still to do: row by row a few photos, so that pairs grow together.

    Parameters
    ----------
    photos
        By classifier and by split, the names of all photos that count.
    """
    for name, group in plan.groups.items():
        jobs = [
            list(_of_row(plan, name, row, photos[group.classifier], found)) for row in group.rows
        ]
        for place in range(max(map(len, jobs), default=0)):
            yield from (of_row[place] for of_row in jobs if place < len(of_row))


def _of_row(
    plan: Plan, name: str, row: str, photos: Mapping[str, Sequence[str]], found: Path
) -> Iterator[Job]:
    """Yield a row's jobs, those for thresholds first."""
    group = plan.groups[name]
    shared = [*plan.photos, *group.told(row)]
    scored, first = photos[group.of][: group.evaluated], group.more.photos
    for split, wanted, overrides in (
        ("held_out", photos["held_out"][: group.held_out], group.thresholds),
        ("evaluation", scored[:first], [*group.metrics, *group.more.overrides]),
        ("evaluation", scored[first:], group.metrics),
    ):
        done = held(found / folder(name, row), split)
        left = [photo for photo in wanted if photo not in done]
        for start in range(0, len(left), group.chunk):
            chunk = left[start : start + group.chunk]
            yield Job(name, row, split, chunk, [*shared, *overrides])


def keys(whole: Plan) -> dict[tuple[str, str], str]:
    """Return by group and row what run.py is told beside ``whole.photos`` and names of photos."""
    return {
        (name, row): shlex.join([*group.told(row), *group.metrics])
        for name, group in whole.groups.items()
        for row in group.rows
    }


def rows(found: Path, group: str) -> dict[str, Path]:
    """Return the folders of a group's rows that have photos, by their names; see ``folder``."""
    files = sorted((found / group).glob(f"*/{TABLE}"))
    return {file.parent.name.replace("_", " "): file.parent for file in files}


def counterparts(named: Mapping[str, Path]) -> dict[str, str]:
    """Return the plain method's row of each G method's: "SP" of "SP-G mirror"; where both are."""
    plain = {name: name.partition("-G ")[0] for name in named if "-G " in name}
    return {name: other for name, other in plain.items() if other in named}


def held(folder: Path, split: str) -> set[str]:
    """Return the photos of a split that a row's folder holds."""
    file = folder / TABLE
    if not file.is_file():
        return set()
    table = pd.read_parquet(file, columns=["image_id", "split"])
    return set(table["image_id"][table["split"] == split])
