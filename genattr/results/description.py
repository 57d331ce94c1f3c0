"""What a tracking store says about a run or a sweep, in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from genattr import environment
from genattr.analysis.statistics import Estimate
from genattr.results.show import caveats
from genattr.results.summary import Summary, headed, heads

MOST_ROWS = 30  # of a table: the description of a large sweep stays readable
SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")


def of_run(summary: Summary, picture: Path, command: str) -> str:
    """Describe a run: its scores, caveats, picture, and the command that makes it."""
    rows = [
        (headed(name, summary.directions), _mean(score), _interval(score), str(score.n))
        for name, score in summary.scores.items()
    ]
    table = _table(("score", "mean", "95 % interval", "photos"), rows)
    head = f"**{_plain(summary.name)}**  \n{_plain(summary.subtitle)}"
    return _joined(head, summary.note or "", table, *_end([summary], picture, command))


def of_sweep(
    title: str, note: str, summaries: Sequence[Summary], picture: Path, command: str
) -> str:
    """Describe a sweep: the means of its members, caveats, picture, and its command."""
    directions = {key: way for summary in summaries for key, way in summary.directions.items()}
    names = list(dict.fromkeys(name for summary in summaries for name in summary.scores))
    columns = ("run", *(headed(name, directions) for name in names), "photos")
    rows = [
        (name, *(_mean(summary.scores.get(key)) for key in names), str(summary.photos))
        for summary, (name, _) in zip(summaries, heads(summaries), strict=True)
    ]
    table = _table(columns, rows[:MOST_ROWS]) if names else ""
    rest = f"and {len(rows) - MOST_ROWS} more" if len(rows) > MOST_ROWS else ""
    end = _end(summaries, picture, command)
    return _joined(f"**{_plain(title)}**", note, table, rest, *end)


def _end(summaries: Sequence[Summary], picture: Path, command: str) -> Iterator[str]:
    yield "\n".join(f"- {head}: {_plain(text)}" for head, text in caveats(summaries))
    if picture.is_file():
        where = f"`{picture.absolute()}` on {environment.host()}"
        yield f"Picture: `{picture.name}` under Artifacts, and {where}"
    if command:
        yield f"Command:\n\n```console\n{command}\n```"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, [":--", *["--:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(_cells(line))} |" for line in lines)


def _cells(line: Sequence[str]) -> list[str]:
    return [cell if set(cell) <= set(":-") else _plain(cell) for cell in line]


def _mean(score: Estimate | None) -> str:
    return "–" if score is None or score.n == 0 else f"{score.mean:.3f}"


def _interval(score: Estimate) -> str:
    return "–" if score.low != score.low else f"{score.low:.3f} to {score.high:.3f}"


def _plain(text: str) -> str:
    """Escape what Markdown would read as more than a character."""
    return SPECIAL.sub(r"\\\1", text)


def _joined(*parts: str) -> str:
    return "\n\n".join(filter(None, parts))
