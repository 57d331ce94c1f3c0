"""What ``benchmarks.gpu`` tells: rows, reasons, and a Markdown table of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

NOT_MEASURED = "not measured"


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row of the table; None: not measured, or without meaning there.

    Attributes
    ----------
    kind
        ``network``, ``method``, ``metric`` or ``captum``.
    work
        How much of it was timed.
    images
        Those that the explained classifier scored.
    ms_per_photo
        Where whole photos were timed.
    of_network
        Share of the images a second of the raw network at the same precision, in batches of as
        many rows, with the gradient where the method takes one.
    busy, peak_mb
        See ``gauges.Reading``.
    difference, spearman
        See ``gpu_reference.Agreement``.
    """

    kind: str
    name: str
    precision: str
    work: str
    images: int
    seconds: float
    of_network: float | None
    busy: float | None
    peak_mb: float | None
    ms_per_photo: float | None = None
    difference: float | None = None
    spearman: float | None = None
    note: str = ""

    @property
    def images_per_s(self) -> float | None:
        """Images a second; None where none was scored."""
        return self.images / self.seconds if self.images else None


@dataclass
class Report:
    """All that is told.

    Attributes
    ----------
    facts
        About the machine and the run.
    left_out
        What was not measured, and why.
    problems
        Rows that failed or are too far from the reference, and how.
    """

    facts: dict[str, str]
    lines: list[Line] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


def number(value: float | None, pattern: str, without: str = "") -> str:
    """Format a number that may be missing."""
    return without if value is None else format(value, pattern)


def rate(value: float | None) -> str:
    """Format images a second."""
    return number(value, ",.0f" if value and value >= 10 else ".2g")


COLUMNS: Mapping[str, Callable[[Line], str]] = {
    "what": lambda line: line.name if line.kind != "metric" else f"metric {line.name}",
    "precision": lambda line: line.precision,
    "timed": lambda line: line.work,
    "images/s": lambda line: rate(line.images_per_s),
    "ms a photo": lambda line: number(line.ms_per_photo, ".1f"),
    "of the network": lambda line: number(line.of_network, ".0%"),
    "GPU busy": lambda line: number(line.busy, ".0%", NOT_MEASURED),
    "peak, MB": lambda line: number(line.peak_mb, ",.0f", NOT_MEASURED),
    "largest difference": lambda line: number(line.difference, ".0e"),
    "Spearman": lambda line: number(line.spearman, ".4f"),
    "note": lambda line: line.note,
}


def as_dict(report: Report) -> dict[str, Any]:
    """Return all that is told, for JSON."""
    lines = [asdict(line) | {"images_per_s": line.images_per_s} for line in report.lines]
    return asdict(report) | {"lines": lines}


def markdown(report: Report) -> str:
    """Return the table, with the machine above it, and below it what is missing from it."""
    rows = [list(COLUMNS), ["---"] * len(COLUMNS)]
    rows += [[cell(line) for cell in COLUMNS.values()] for line in report.lines]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    facts = ", ".join(f"{key} {value}" for key, value in report.facts.items())
    reasons = [f"- left out: {name}: {reason}" for name, reason in report.left_out.items()]
    reasons += [f"- WRONG: {name}: {problem}" for name, problem in report.problems.items()]
    return "\n".join([f"{facts}.", "", table, "", *reasons])
