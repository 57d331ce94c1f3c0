"""A table of scores beside the paper's, and the files that hold it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from genattr.analysis.statistics import Difference, Estimate

NONE = "–"
LEVEL = 0.05  # a difference whose corrected p is this or more decides nothing
PATHS = ("table.csv", "comparisons.csv", "table.md", "table.tex")


@dataclass(frozen=True)
class Cell:
    """One number of the paper and ours.

    Attributes
    ----------
    dataset, row, column
        Its place.
    paper, paper_spread
        The paper's number, and its standard deviation over photos; None: there is none.
    ours
        None if no run fits the cell.
    spread
        Our standard deviation over photos; None: not shown.
    """

    dataset: str
    row: str
    column: str
    paper: float | None
    paper_spread: float | None
    ours: Estimate | None
    spread: float | None


@dataclass(frozen=True)
class Comparison:
    """Two cells' scores, photo by photo.

    Attributes
    ----------
    score
        Name of the row or of the column that both cells share.
    first, second
        The cells' other names.
    difference
        First minus second.
    corrected
        Its p, corrected for the number of comparisons in the table.
    paper
        The paper's number for the first minus that for the second; None: it has no such numbers.
    """

    dataset: str
    score: str
    first: str
    second: str
    difference: Difference
    corrected: float
    paper: float | None = None

    @property
    def verdict(self) -> str | None:
        """Whether our difference confirms the paper's; None where the paper has none.

        ``undecided`` if the interval contains zero or the corrected p is 0.05 or more; else
        ``confirmed`` if it has the sign of the paper's difference, and ``not confirmed`` if not.
        """
        gap = self.difference
        if not self.paper or math.isnan(gap.low):
            return None
        if not decides(gap, self.corrected):
            return "undecided"
        return "confirmed" if gap.mean * self.paper > 0 else "not confirmed"


def decides(gap: Difference, p: float) -> bool:
    """Whether an interval leaves zero out, and a p, corrected or not, is below 0.05."""
    return not gap.low <= 0 <= gap.high and p < LEVEL


@dataclass(frozen=True)
class Table:
    """Ours beside the paper's, in the paper's order.

    Attributes
    ----------
    name, title
        Of the experiment, and for people.
    cells
        Row by row.
    comparisons
        Of pairs of cells.
    notes
        Remarks for the reader.
    """

    name: str
    title: str
    cells: Sequence[Cell]
    comparisons: Sequence[Comparison]
    notes: Sequence[str]

    def lay_out(self) -> pd.DataFrame:
        """Return the paper's layout: for each of its rows, one line for each kind of number."""
        lines = []
        for (dataset, row), cells in self._rows().items():
            for kind, texts in _lines(cells):
                head = {"dataset": dataset, "row": row, "": kind}
                lines.append(head | dict(zip((c.column for c in cells), texts, strict=True)))
        return pd.DataFrame(lines)

    def stand_up(self) -> pd.DataFrame:
        """Return the same for a narrow page: one line per cell, one column per dataset."""
        lines: dict[tuple[str, str], dict[str, str]] = {}
        for cell in self.cells:
            line = lines.setdefault((cell.row, cell.column), {"": f"{cell.row} · {cell.column}"})
            if self._has_paper(cell.dataset):
                line[f"paper\n{cell.dataset}"] = _paper(cell)
            if cell.ours is not None:
                line[f"ours\n{cell.dataset}"] = _with_spread(cell.ours.mean, cell.spread)
                line["95 % interval"] = interval(cell.ours.low, cell.ours.high)
                line["n"] = str(cell.ours.n)
        return pd.DataFrame(list(lines.values())).fillna(NONE)

    def _has_paper(self, dataset: str) -> bool:
        return any(cell.dataset == dataset and cell.paper is not None for cell in self.cells)

    def compare(self) -> pd.DataFrame:
        """Return one line per comparison, and whether ours confirms the paper's, if it has one."""
        lines = pd.DataFrame([_texts(comparison) for comparison in self.comparisons])
        if all(comparison.paper is None for comparison in self.comparisons):
            return lines.drop(columns=["paper", "paper's claim"], errors="ignore")
        return lines

    def numbers(self) -> pd.DataFrame:
        """Return one line per cell, with all digits."""
        return pd.DataFrame([_numbers(cell) for cell in self.cells])

    def write(self, folder: Path) -> list[Path]:
        """Write CSV (all digits), Markdown and LaTeX; return the files."""
        files = [folder / name for name in PATHS]
        self.numbers().to_csv(files[0], index=False)
        pd.DataFrame([_flat(comparison) for comparison in self.comparisons]).to_csv(
            files[1], index=False
        )
        files[2].write_text(self.markdown(), encoding="utf-8")
        files[3].write_text(self.latex(), encoding="utf-8")
        return files

    def markdown(self) -> str:
        """Return the title, both tables and the notes."""
        parts = [f"**{self.title}**", markdown(self.lay_out())]
        if self.comparisons:
            parts += ["Differences on the same photos, first minus second:"]
            parts += [markdown(self.compare())]
        return "\n\n".join([*parts, "\n".join(f"- {note}" for note in self.notes)]) + "\n"

    def latex(self) -> str:
        """Return both tables as tabulars for the package booktabs, the notes as comments."""
        frames = [self.lay_out(), *([self.compare()] if self.comparisons else [])]
        plain = [frame.map(_plain).rename(columns=_plain) for frame in frames]
        bodies = [frame.to_latex(index=False, escape=True) for frame in plain]
        comments = "\n".join(f"% {line}" for line in (self.title, *self.notes))
        return "\n".join([comments, *bodies])

    def _rows(self) -> dict[tuple[str, str], list[Cell]]:
        rows: dict[tuple[str, str], list[Cell]] = {}
        for cell in self.cells:
            rows.setdefault((cell.dataset, cell.row), []).append(cell)
        return rows


def _lines(cells: Sequence[Cell]) -> Iterator[tuple[str, list[str]]]:
    """Yield the kinds of numbers of a row, and their texts; ours only if there are any."""
    if any(cell.paper is not None for cell in cells):
        yield "paper", [_paper(cell) for cell in cells]
    estimates = [cell.ours for cell in cells]
    if not any(estimates):
        return
    yield "ours", [_with_spread(_mean(cell.ours), cell.spread) for cell in cells]
    if any(estimate is not None and not math.isnan(estimate.low) for estimate in estimates):
        yield (
            "95 % interval",
            [interval(estimate.low, estimate.high) if estimate else NONE for estimate in estimates],
        )
    yield "n", [str(estimate.n) if estimate else NONE for estimate in estimates]
    if any(estimate is not None and estimate.undefined for estimate in estimates):
        yield "undefined", [str(estimate.undefined) if estimate else NONE for estimate in estimates]


def _mean(ours: Estimate | None) -> float | None:
    return None if ours is None else ours.mean


def number(value: float | None) -> str:
    """Write a score for people."""
    return NONE if value is None or math.isnan(value) else f"{value:.3f}"


def papers_number(value: float | None) -> str:
    """Write a number of the paper with all of its digits."""
    return NONE if value is None else max(f"{value:.4f}".rstrip("0"), f"{value:.3f}", key=len)


def interval(low: float, high: float) -> str:
    """Write an interval for people."""
    return NONE if math.isnan(low) else f"[{low:.3f}, {high:.3f}]"


def signed(value: float | None) -> str:
    """Write a difference for people."""
    return NONE if value is None or math.isnan(value) else f"{value:+.3f}"


def signed_interval(low: float, high: float) -> str:
    """Write the interval of a difference for people."""
    return NONE if math.isnan(low) else f"[{low:+.3f}, {high:+.3f}]"


def needed(photos: float) -> str:
    """Write for people how many photos would decide a difference."""
    return f"{photos:,.0f}" if math.isfinite(photos) else NONE


def p_value(p: float) -> str:
    """Write a p value for people."""
    if math.isnan(p):
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _paper(cell: Cell) -> str:
    spread = "" if cell.paper_spread is None else f" ± {cell.paper_spread:.3f}"
    return papers_number(cell.paper) + spread


def _with_spread(value: float | None, spread: float | None) -> str:
    is_known = value is not None and spread is not None and math.isfinite(spread)
    return number(value) + (f" ± {spread:.3f}" if is_known else "")


def _texts(comparison: Comparison) -> dict[str, str]:
    gap = comparison.difference
    return {
        "dataset": comparison.dataset,
        "score": comparison.score,
        "first − second": f"{comparison.first} − {comparison.second}",
        "difference": signed(gap.mean),
        "95 % interval": signed_interval(gap.low, gap.high),
        "first wins": NONE if math.isnan(gap.wins) else f"{100 * gap.wins:.0f} %",
        "p": p_value(gap.p),
        "p (Holm)": p_value(comparison.corrected),
        "n": str(gap.n),
        "n for 80 % power": needed(gap.needed),
        "undefined": str(gap.undefined),
        "paper": signed(comparison.paper),
        "paper's claim": comparison.verdict or NONE,
    }


def _numbers(cell: Cell) -> dict[str, object]:
    ours = cell.ours or Estimate(math.nan, math.nan, math.nan, 0, 0)
    place = {"dataset": cell.dataset, "row": cell.row, "column": cell.column}
    paper = {"paper": cell.paper, "paper_spread": cell.paper_spread}
    interval = {"low": ours.low, "high": ours.high, "n": ours.n, "undefined": ours.undefined}
    return {**place, **paper, "ours": ours.mean, **interval, "spread": cell.spread}


def _flat(comparison: Comparison) -> dict[str, object]:
    names = {key: getattr(comparison, key) for key in ("dataset", "score", "first", "second")}
    results = {
        "p_holm": comparison.corrected,
        "paper": comparison.paper,
        "verdict": comparison.verdict,
    }
    return {**names, **vars(comparison.difference), **results}


def markdown(frame: pd.DataFrame) -> str:
    """Write texts as a table in Markdown."""
    rows = [list(frame.columns), ["---"] * len(frame.columns), *frame.values.tolist()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _plain(text: str) -> str:
    """Replace signs that LaTeX's standard fonts lack."""
    for sign, plain in (("−", "-"), ("–", "--"), ("±", "+/-")):
        text = text.replace(sign, plain)
    return text
