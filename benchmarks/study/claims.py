"""The study's rows beside the paper: tables, and what becomes of each claim."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.study.plan import rows
from genattr.report import tabulate
from genattr.report.table import Comparison, Table
from genattr.results.finished import Member

INPAINTERS = ("mirror", "lightfill")
GROUPS: Mapping[str, Sequence[str]] = {
    "table2_localization": ("main", "slow"),
    "table3_deletion": ("main", "slow"),
    "table4_saliency": ("main", "slow"),
    "tableS1_sam": ("sam",),
    "table1_fillers": ("table1",),
    "sec42_blurred": ("sec42",),
    "sec51_patch_drift": ("sec51",),
    "fig8_label_histogram": ("sec52",),
}
MAIN_TABLES = ("table2_localization", "table3_deletion", "table4_saliency")
ENOUGH = 10  # photos for an interval to be held against a number of the paper
SECOND: Mapping[str, Sequence[str]] = dict.fromkeys(MAIN_TABLES, ("lite2",))
THREE_MASKS: Mapping[str, Sequence[str]] = {"tableS1_sam": ("sam_112",)}


@dataclass(frozen=True)
class Claim:
    """One difference that the paper has, too.

    Attributes
    ----------
    table
        Name of the paper's table.
    title
        Its number: "Table 3".
    inpainter
        Of the G methods.
    found
        Here, and in the paper.
    """

    table: str
    title: str
    inpainter: str
    found: Comparison

    @property
    def name(self) -> str:
        """What is compared, in which table and score."""
        return f"{self.title}, {self.found.score}: {self.found.first} − {self.found.second}"

    @property
    def is_beyond(self) -> bool:
        """Whether the paper's difference lies outside of the interval here, of enough photos.

        Where no photo differs from the others there is an interval in name alone.
        """
        gap, paper = self.found.difference, self.found.paper
        is_interval = gap.n >= ENOUGH and gap.low < gap.high
        return paper is not None and is_interval and not gap.low <= paper <= gap.high

    @property
    def is_weaker(self) -> bool:
        """Whether the difference is smaller than the paper's, or of the other sign."""
        paper = self.found.paper or 0.0
        return self.found.difference.mean * math.copysign(1, paper) < abs(paper)


def members(found: Path, groups: Sequence[str], inpainter: str) -> list[Member]:
    """Return the rows of some groups, without those of other inpainters.

    A row that is named after the inpainter, "SP lightfill", stands for the one that is not, "SP".
    """
    others = tuple(name for name in INPAINTERS if name != inpainter)
    named = {name: row for group in groups for name, row in rows(found, group).items()}
    return [
        Member(row)
        for name, row in named.items()
        if not name.endswith(others) and f"{name} {inpainter}" not in named
    ]


def tables(
    found: Path, inpainter: str, chosen: Mapping[str, Sequence[str]] = GROUPS
) -> Iterator[Table]:
    """Yield the paper's tables, as far as there are rows for them in the chosen groups."""
    for name, groups in chosen.items():
        rows = members(found, groups, inpainter)
        if rows:
            yield tabulate.build(name, rows)


def claims(found: Path, chosen: Mapping[str, Sequence[str]] = GROUPS) -> list[Claim]:
    """Return each difference that the paper has, with one inpainter and then with the other."""
    found = [
        Claim(table.name, table.title.partition(". ")[0], inpainter, comparison)
        for inpainter in INPAINTERS
        for table in tables(found, inpainter, chosen)
        for comparison in table.comparisons
        if comparison.verdict is not None
    ]
    names = list(dict.fromkeys(claim.name for claim in found))
    return sorted(found, key=lambda claim: names.index(claim.name))
