"""What the terminal shows: every name as it is."""

from __future__ import annotations

import pytest

from genattr import console
from genattr.analysis.statistics import estimate
from genattr.results import show
from genattr.results.summary import Summary

NAME = "net[bold].pt :cat: [/]"


def summary(**changes: object) -> Summary:
    """Return a run of two photos."""
    values = {"seconds_per_heatmap": 1.5, "filler_calls": 10}
    given = {
        "title": f"SP · {NAME}",
        "settings": "stride 3",
        "scores": {"deletion/auc": estimate([0.25, 0.5])},
        "directions": {"deletion/auc": "lower"},
        "values": values,
        "photos": 2,
    }
    return Summary(**(given | changes))


def test_names_in_the_table_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    scores = {f"{NAME}/auc": estimate([0.25, 0.5])}
    directions = dict.fromkeys(scores, "lower")
    show.show_scores([summary(settings=NAME, scores=scores, directions=directions)])
    printed = capsys.readouterr().out
    assert f"SP · {NAME}" in printed
    assert printed.count(NAME) == 2
    assert "net[bold].pt" in printed.splitlines()[0]
    assert "0.375" in printed
    assert "[0." in printed


def test_what_sets_a_run_apart_stands_under_its_title(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [summary(choices="seed 0"), summary(settings="", choices="seed 1"), summary()]
    show.show_scores(runs)
    lines = [line.split("│")[0].strip() for line in capsys.readouterr().out.splitlines()]
    assert [line for line in lines if line.startswith(("stride", "seed", "·"))] == [
        "stride 3 · seed 0",
        "seed 1",
        "stride 3",
    ]


def test_time_is_told_a_heatmap(capsys: pytest.CaptureFixture[str]) -> None:
    show.show_scores([summary()])
    first, second = capsys.readouterr().out.splitlines()[:2]
    assert first.split()[-1] == "seconds"
    assert second.split()[-2:] == ["a", "heatmap"]


def test_what_a_filler_counted_is_told_unless_it_is_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    values = {"filler_calls": 10, "filler/filled_by_mirror": 3.0, "filler/timed_out": 0}
    show.show_caveats([summary(title="SP-G", values=values, photos=30)])
    assert capsys.readouterr().out == "Filler:        filled by mirror: 3 of 10 fills of SP-G\n"


def test_names_in_progress_bars_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    with console.bar(NAME, 1, 1) as bar:
        bar.finished()
    assert NAME in capsys.readouterr().out


def test_heatmaps_that_are_not_made_do_not_count_as_made(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with console.bar("SP", 7, 10) as bar:
        bar.skipped(2)
        for _ in range(5):
            bar.finished()
    last = capsys.readouterr().out
    assert "heatmap 5/7, 2 skipped" in last
    assert "7/7" not in last


def test_a_score_tells_of_how_many_photos_it_is_if_not_of_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    nan = float("nan")
    scores = {
        "deletion/auc": estimate([0.25, 0.5]),
        "localization/error": estimate([nan, 1.0]),
        "saliency/score": estimate([nan, nan]),
    }
    directions = dict.fromkeys(scores, "lower")
    show.show_scores([summary(scores=scores, directions=directions)])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "SP · " in line]
    cells = [cell.strip() for cell in line.split("│")]
    assert cells[1:5] == ["0.375", "1.000 (1 of 2)", "– (0 of 2)", "2"]
