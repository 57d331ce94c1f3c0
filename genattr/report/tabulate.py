"""From the members of a sweep to a table beside the paper's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
from rich import table as terminal
from rich.text import Text

from genattr import console
from genattr.analysis.statistics import Direction, Estimate, estimate, holm, paired
from genattr.metric.base import Metric
from genattr.report.paper import Place, Published, table
from genattr.report.table import Cell, Comparison, Table
from genattr.results import comparison
from genattr.results.finished import Member, records
from genattr.results.summary import photos_on_curve
from genattr.tracking.base import Run

ANY_INPAINTER = "inpainter"
SIMILARITY = "sensitivity"
Scores = Mapping[str, float]


def chosen(members: Sequence[Member]) -> str | None:
    """Return the name of the table that a sweep was run for."""
    return members[0].summary.table


def conclude(members: Sequence[Member], folder: Path, record: Run) -> Table | None:
    """Make the sweep's table, if it is to have one: show it, write it, record it."""
    name = chosen(members)
    if name is None:
        return None
    made = build(name, members)
    record.files(made.write(folder))
    show(made)
    console.say(f"Table:         {folder / 'table.md'}, .tex, .csv")
    return made


def show(made: Table) -> None:
    """Print ours beside the paper's, the comparisons and the notes."""
    console.say(f"\n{made.title}")
    for frame in (made.stand_up(), made.compare()):
        draw(frame)
    for note in made.notes:
        console.say(f"- {note}")


def draw(frame: pd.DataFrame) -> None:
    """Print texts as a table; nothing if there are none."""
    drawn = terminal.Table(show_edge=False, pad_edge=False)
    for index, column in enumerate(frame.columns):
        drawn.add_column(column, justify="right" if index else "left")
    for row in frame.itertuples(index=False):
        drawn.add_row(*map(Text, row))
    if len(frame):
        console.console.print(drawn)


def build(name: str, members: Sequence[Member]) -> Table:
    """Put members into the cells of a table and compare them.

    A dataset that the paper does not have comes below the paper's; cells without a run stay empty.
    """
    published = table(name)
    datasets = dict.fromkeys([*published.paper, *map(dataset_of, members)])
    cells = [
        _cell(published, members, dataset, row, column)
        for dataset in datasets
        for row in published.rows
        for column in published.columns
    ]
    compared = list(_compare(published, members))
    return Table(name, published.title, cells, compared, [*published.notes, *_facts(members)])


def dataset_of(member: Member) -> str:
    """Name the option of a member's dataset."""
    return member.summary.parts["dataset"].option


def scores(member: Member, score: str) -> Scores:
    """Return a score by photo, the mean over its targets; empty if it was not computed."""
    kind, _, name = score.partition("/")
    if kind == SIMILARITY:
        rows = [row for group in comparison.read(member.folder) for row in group.rows()]
        frame = pd.DataFrame(rows, columns=["image_id", name])
        return _by_photo(frame, name)
    frame = member.evaluated
    return _by_photo(frame, score) if score in frame else {}


def on_common_photos(first: Scores, second: Scores) -> tuple[list[float], list[float]]:
    """Return two scores of the photos that have both, in the order of the first."""
    common = [photo for photo in first if photo in second]
    return [first[photo] for photo in common], [second[photo] for photo in common]


def find(members: Sequence[Member], dataset: str, place: Place) -> Member | None:
    """Return the first member that fits a place."""
    fits = (member for member in members if dataset_of(member) == dataset and _fits(member, place))
    return next(fits, None)


def _by_photo(frame: pd.DataFrame, column: str) -> Scores:
    means = frame.groupby("image_id", sort=False)[column].mean()
    return {str(photo): float(value) for photo, value in means.items()}


def _fits(member: Member, place: Place) -> bool:
    if place.method not in (None, member.method):
        return False
    return all(_has(member, key, value) for key, value in place.where.items())


def _has(member: Member, key: str, value: str) -> bool:
    part = member.summary.parts.get(key)
    if part is None:
        return member.config.get(key) == value
    return bool(part.inpaints) if value == ANY_INPAINTER else part.option == value


def _cell(
    published: Published, members: Sequence[Member], dataset: str, row: str, column: str
) -> Cell:
    place = published.rows[row] | published.columns[column]
    paper, paper_spread = published.number(dataset, row, column)
    ours: Estimate | None = None
    spread: float | None = None
    member = find(members, dataset, place)
    if member is not None and place.value is not None:
        ours = _plain_value(member, place.value)
    elif member is not None and place.shown is not None:
        values = list(scores(member, place.shown).values())
        ours = estimate(values) if values else None
        spread = float(pd.Series(values, dtype=float).std()) if _has_spreads(published) else None
    return Cell(dataset, row, column, paper, paper_spread, ours, spread if ours else None)


def _plain_value(member: Member, name: str) -> Estimate | None:
    if name not in member.summary.values:
        return None
    held_out = member.table[member.table["split"] == "held_out"]
    photos, nan = held_out["image_id"].nunique(), float("nan")
    n = _on_curve(member, name.partition("/")[0], held_out)
    n = photos if n is None else n
    return Estimate(member.summary.values[name], nan, nan, n, photos - n)


def _on_curve(member: Member, name: str, rows: pd.DataFrame) -> int | None:
    """Count the photos whose curves chose a threshold; None where the metric wrote none."""
    metric = member.rebuilt(f"metric.{name}", Metric)
    if metric is None or not rows.columns.str.startswith(f"{name}/").any():
        return None
    return photos_on_curve(metric, name, records(rows))


def _has_spreads(published: Published) -> bool:
    rows = (row for dataset in published.paper.values() for row in dataset.values())
    return any(isinstance(number, tuple) for row in rows for number in row)


def _compare(published: Published, members: Sequence[Member]) -> Iterator[Comparison]:
    pairs = [
        (dataset, other, first, second, paired(*gap, better=better))
        for dataset in dict.fromkeys(map(dataset_of, members))
        for first, second in published.pairs
        for other, gap, better in _pairs(published, members, dataset, first, second)
    ]
    corrected = holm([gap.p for *_, gap in pairs])
    for pair, p in zip(pairs, corrected, strict=True):
        yield Comparison(*pair, corrected=p, paper=_papers_difference(published, *pair[:4]))


def _papers_difference(
    published: Published, dataset: str, other: str, first: str, second: str
) -> float | None:
    """Return the paper's number for the first minus that for the second, where it has both."""
    places = [
        (name, other) if name in published.rows else (other, name) for name in (first, second)
    ]
    minuend, subtrahend = (published.number(dataset, *place)[0] for place in places)
    return None if minuend is None or subtrahend is None else minuend - subtrahend


def _pairs(
    published: Published, members: Sequence[Member], dataset: str, first: str, second: str
) -> Iterator[tuple[str, tuple[list[float], list[float]], Direction]]:
    """Yield, per column (or row) of both, its name, the scores on common photos, and direction."""
    in_rows = first in published.rows
    axis, others = published.rows, published.columns
    if not in_rows:
        axis, others = others, axis
    for name, other in others.items():
        places = (axis[first] | other, axis[second] | other)
        found = on_common_photos(*(_scores_at(members, dataset, place) for place in places))
        if found[0]:
            yield name, found, places[0].better or "lower"


def _scores_at(members: Sequence[Member], dataset: str, place: Place) -> Scores:
    member = find(members, dataset, place)
    return scores(member, place.shown) if member is not None and place.shown else {}


def _judge(member: Member) -> str:
    """Name the classifier that judges, if one does."""
    judge = member.summary.parts.get("metric.judge.judge")
    return judge.title if judge is not None else ""


def _facts(members: Sequence[Member]) -> list[str]:
    """List the classifiers, methods, fillers and judges of our numbers, and what is left out."""
    classifiers = ", ".join(dict.fromkeys(member.summary.classifier for member in members))
    pairs = ", ".join(dict.fromkeys(f"{member.method} with {member.filler}" for member in members))
    facts = [f"Ours: {classifiers}; {pairs}."]
    facts += [f"Judge: {judge}." for judge in sorted(set(filter(None, map(_judge, members))))]
    alphas = {
        f"{name} {a:g}" for member in members for name, a in member.summary.fixed_alphas.items()
    }
    if alphas:
        named = ", ".join(sorted(alphas))
        facts.append(f"No held-out photos: alpha is fixed ({named}), not chosen.")
    failed = sorted({line for member in members for line in member.summary.failed})
    return facts + [f"Left out: {line}" for line in failed]
