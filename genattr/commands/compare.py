"""``genattr compare A B``: finished runs against the first, photo by photo."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from genattr.errors import require
from genattr.files import try_folder

if TYPE_CHECKING:
    from genattr.analysis.statistics import Difference, Direction
    from genattr.results.finished import Member

PICTURE, TABLE = "comparison.png", "differences.csv"


@dataclass(frozen=True)
class Gap:
    """One score of two runs on the photos that both have.

    Attributes
    ----------
    first, second
        Names of the runs; the difference is second minus first.
    score
        Such as ``deletion/auc``.
    better
        ``lower`` or ``higher``.
    difference
        With its interval.
    p
        Of Wilcoxon's test, corrected by Holm for all comparisons that are shown.
    """

    first: str
    second: str
    score: str
    better: str
    difference: Difference
    p: float


def main(words: Sequence[str]) -> None:
    """Print the differences of the named runs, and leave a table and a picture."""
    parser = argparse.ArgumentParser(
        prog="genattr compare",
        description="Differences of the scores of finished runs, photo by photo: each run minus "
        "the first, with a 95 %% interval. Members of a sweep are runs, too.",
    )
    parser.add_argument("runs", nargs="+", help="folders, ids of sweeps, or MLflow's run ids")
    parser.add_argument("--uri", help="tracking URI; default: that of the runs")
    parser.add_argument("--out", type=Path, default=Path("comparison"), help="folder of both files")
    chosen = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as temporary:
        _compare(chosen, Path(temporary))


def _compare(chosen: argparse.Namespace, temporary: Path) -> None:
    from genattr.console import say
    from genattr.results import examples, find, show

    sources = [find.find(name, chosen.uri, find.WITH_EXAMPLES, temporary) for name in chosen.runs]
    members = [member for source in sources for member in source.members]
    require(len(members) > 1, f"{chosen.runs[0]}: one run; name another one to compare it with")
    found = gaps(members)
    require(len(found) > 0, "these runs have no score on the same photo")
    try_folder("--out", chosen.out.absolute())
    chosen.out.mkdir(parents=True, exist_ok=True)
    show.show_scores([member.summary for member in members])
    say("")
    _show(found)
    _save(found, chosen.out / TABLE)
    picture = examples.draw(
        [member.folder for member in members], chosen.out / PICTURE, title="", note=""
    )
    say(f"\nPicture:       {picture.absolute()}")
    say(f"Table:         {(chosen.out / TABLE).absolute()}")
    most = max(gap.difference.n for gap in found)
    if most < show.FEW:
        say(f"Few photos:    {most} decide little; selection.limit= takes more")


def gaps(members: Sequence[Member]) -> list[Gap]:
    """Compare each run with the first, score by score; scores without a common photo are left out.

    Raises
    ------
    UserError
        If a run's files are of an older version.
    """
    from genattr.analysis.statistics import holm

    names = _names(members)
    pairs = [
        (names[0], name, score, better, difference)
        for name, member in list(zip(names, members, strict=True))[1:]
        for score, better, difference in _pairs(members[0], member)
    ]
    corrected = holm([difference.p for *_, difference in pairs])
    return [Gap(*pair, p) for pair, p in zip(pairs, corrected, strict=True)]


def _pairs(first: Member, second: Member) -> Iterator[tuple[str, str, Difference]]:
    from genattr.analysis.statistics import paired
    from genattr.report.tabulate import on_common_photos, scores

    for score, better in first.summary.directions.items():
        own, other = on_common_photos(scores(first, score), scores(second, score))
        if own:
            direction: Direction = "lower" if better == "lower" else "higher"
            yield score, better, paired(other, own, better=direction)


def _names(members: Sequence[Member]) -> list[str]:
    """Name the runs by their titles, and what sets those apart that share one."""
    from genattr.results.summary import short_titles

    titles = short_titles([member.summary for member in members])
    return [
        title if titles.count(title) == 1 else f"{title} · {member.summary.subtitle}".strip(" ·")
        for title, member in zip(titles, members, strict=True)
    ]


def _show(found: Sequence[Gap]) -> None:
    """Print a row per score and pair of runs."""
    from rich.table import Table
    from rich.text import Text

    from genattr.console import console
    from genattr.results.summary import ARROWS, label

    table = Table(show_edge=False, pad_edge=False)
    for head in ("runs", "score"):
        table.add_column(head, overflow="fold")
    for head in ("difference", "better on", "p, Holm", "photos"):
        table.add_column(head, justify="right", no_wrap=True)
    for gap in found:
        table.add_row(
            Text(f"{gap.second} − {gap.first}"),
            Text(f"{label(gap.score)} {ARROWS[gap.better]}"),
            Text(_in_words(gap.difference)),
            f"{gap.difference.wins:.0%}",
            f"{gap.p:.2g}",
            str(gap.difference.n),
        )
    console.print(table)


def _in_words(difference: Difference) -> str:
    """Write the mean, and its interval if there is one."""
    mean, low, high = difference.mean, difference.low, difference.high
    return f"{mean:+.3f}" if low != low else f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"


def _save(found: Sequence[Gap], path: Path) -> None:
    import pandas as pd

    rows = [asdict(gap) for gap in found]
    flat = [{**row, **row.pop("difference")} | {"p": row["p"]} for row in rows]
    pd.DataFrame(flat).to_csv(path, index=False)
