"""A bar comes after a second, and only where somebody looks."""

from __future__ import annotations

import time
from io import StringIO

import pytest
from rich.console import Console

from genattr.library import progress


@pytest.mark.parametrize(
    ("patience", "shown", "is_seen"), [(0.0, True, True), (60.0, True, False), (0.0, False, False)]
)
def test_a_bar_is_seen_after_a_while(
    monkeypatch: pytest.MonkeyPatch, patience: float, shown: bool, is_seen: bool
) -> None:
    screen = StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    monkeypatch.setattr(progress, "Console", lambda **_: console)
    monkeypatch.setattr(progress, "PATIENCE", patience)
    with progress.waiting(2, shown=shown) as waiting:
        bar = waiting.begin("SP", 10)
        bar.finished()
        time.sleep(0.3)
    assert ("SP" in screen.getvalue()) == is_seen
    assert ("heatmap 1/2" in screen.getvalue()) == is_seen


def test_nothing_is_printed_where_nobody_looks(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    with progress.waiting(1, shown=True) as waiting:
        waiting.begin("SP", 10).finished()
        time.sleep(0.1)
    assert capfd.readouterr() == ("", "")
