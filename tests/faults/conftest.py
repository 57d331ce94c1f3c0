"""The mark of all tests in this folder, and the count of what they did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
KIND = "did: "

Tally = Callable[..., None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder."""
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.faults)


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Tally:
    """Count what a test did, by kind: ``tally("SIGKILL while a heatmap is written")``."""

    def add(what: str, count: int = 1) -> None:
        request.node.user_properties.append((KIND + what, count))

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the counts of all tests, also of those that other processes ran."""
    counts: Counter[str] = Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for what, count in report.user_properties if report.when == "call" else ():
                if what.startswith(KIND):
                    counts[what.removeprefix(KIND)] += count
    if counts:
        terminalreporter.section("what was done")
        for what, count in sorted(counts.items()):
            terminalreporter.write_line(f"{count:7}  {what}")
