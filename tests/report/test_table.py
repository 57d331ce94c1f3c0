"""The paper's numbers as data, and a table of ours beside them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from genattr.analysis.statistics import estimate, paired
from genattr.errors import UserError
from genattr.report.paper import Place, Published, table, tables
from genattr.report.table import Cell, Comparison, Table, p_value, papers_number


@pytest.mark.parametrize("name", tables())
def test_each_row_of_the_paper_has_a_number_a_column(name: str) -> None:
    published = tables()[name]
    for numbers in published.paper.values():
        assert list(numbers) == list(published.rows)
        for row in numbers.values():
            assert len(row) == len(published.columns)
    for pair in published.pairs:
        assert set(pair) <= published.rows.keys() or set(pair) <= published.columns.keys()
    for row in published.rows.values():
        for column in published.columns.values():
            place = row | column
            assert place.value is not None or place.better is not None


@pytest.mark.parametrize(
    ("name", "dataset", "row", "column", "number"),
    [
        ("table2_localization", "imagenet", "Localization error", "MP2-G", 0.2403),
        ("table3_deletion", "imagenet", "Deletion", "LIME-G", 0.1171),
        ("table3_deletion", "places365", "Deletion", "SP", 0.2560),
        ("table4_saliency", "places365", "Saliency", "Baseline", 1.117),
        ("table1_fillers", "imagenet", "MS-SSIM", "Blur", 0.941),
        ("sec51_patch_drift", "imagenet", "Mean change", "SP-G", 0.04),
    ],
)
def test_numbers_of_the_paper(
    name: str, dataset: str, row: str, column: str, number: float
) -> None:
    assert table(name).number(dataset, row, column) == (number, None)


def test_numbers_with_a_deviation_and_none() -> None:
    sam = table("tableS1_sam")
    assert sam.number("imagenet", "LIME-G (150)", "HOG") == (0.776, 0.022)
    assert sam.number("samples", "SP", "SSIM") == (None, None)
    skew = table("fig8_label_histogram")
    assert skew.number("imagenet", "Top three classes", "LIME-G") == (None, None)


def test_an_unknown_table_is_told_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"table=table9: no such table; there is table1_fillers, "):
        table("table9")


def test_a_cell_asks_what_its_row_and_its_column_ask() -> None:
    row = Place(method="SP", where={"filler": "gray"}, score="a/b", better="lower")
    both = row | Place(where={"dataset": "x"}, scores={"a/b": "a/c"})
    assert (both.method, both.better, both.shown) == ("SP", "lower", "a/c")
    assert both.where == {"filler": "gray", "dataset": "x"}
    assert row.shown == "a/b"


def small_table() -> Table:
    ours = estimate([0.1, 0.3, math.nan])
    cells = [
        Cell("imagenet", "Deletion", "SP", 0.2, None, None, None),
        Cell("imagenet", "Deletion", "SP-G", 0.15, 0.01, None, None),
        Cell("samples", "Deletion", "SP", None, None, ours, None),
        Cell("samples", "Deletion", "SP-G", None, None, estimate([0.25]), 0.5),
    ]
    gap = paired([0.1, 0.2], [0.4, 0.4], better="lower")
    compared = [Comparison("samples", "Deletion", "SP-G", "SP", gap, 0.0004)]
    return Table("toy", "Toy & co.", cells, compared, ["100 % honest."])


def test_the_layout_is_the_papers_with_ours_below() -> None:
    laid = small_table().lay_out()
    assert laid.columns.tolist() == ["dataset", "row", "", "SP", "SP-G"]
    assert laid.values.tolist() == [
        ["imagenet", "Deletion", "paper", "0.200", "0.150 ± 0.010"],
        ["samples", "Deletion", "ours", "0.200", "0.250 ± 0.500"],
        ["samples", "Deletion", "95 % interval", "[0.100, 0.300]", "–"],
        ["samples", "Deletion", "n", "2", "1"],
        ["samples", "Deletion", "undefined", "1", "0"],
    ]


def test_the_narrow_layout_has_a_line_a_place() -> None:
    tall = small_table().stand_up()
    assert tall.columns.tolist() == ["", "paper\nimagenet", "ours\nsamples", "95 % interval", "n"]
    assert tall.values.tolist()[0] == ["Deletion · SP", "0.200", "0.200", "[0.100, 0.300]", "2"]


def test_a_comparison_is_told_with_its_direction() -> None:
    (line,) = small_table().compare().to_dict("records")
    assert line["first − second"] == "SP-G − SP"
    assert line["difference"] == "-0.250"
    assert line["first wins"] == "100 %"
    assert line["p (Holm)"] == "< 0.001"
    assert line["n"] == "2"


@pytest.mark.parametrize(
    ("first", "second", "p", "paper", "verdict"),
    [
        ([0.1, 0.2, 0.1], [0.4, 0.4, 0.4], 0.01, -0.1, "confirmed"),
        ([0.1, 0.2, 0.1], [0.4, 0.4, 0.4], 0.01, 0.1, "not confirmed"),
        ([0.1, 0.2, 0.1], [0.4, 0.4, 0.4], 0.05, -0.1, "undecided"),
        ([0.1, 0.2, 0.9], [0.4, 0.4, 0.4], 0.01, -0.1, "undecided"),
        ([0.1], [0.4], 0.01, -0.1, None),
        ([0.1, 0.2, 0.1], [0.4, 0.4, 0.4], 0.01, None, None),
    ],
)
def test_a_claim_needs_interval_sign_and_corrected_p(
    first: list[float], second: list[float], p: float, paper: float | None, verdict: str | None
) -> None:
    gap = paired(first, second, better="lower")
    assert Comparison("imagenet", "Deletion", "SP-G", "SP", gap, p, paper).verdict == verdict


def test_claims_stand_only_where_the_paper_has_any() -> None:
    made = small_table()
    assert "paper's claim" not in made.compare()
    claimed = replace(made, comparisons=[replace(made.comparisons[0], paper=-0.02)])
    (line,) = claimed.compare().to_dict("records")
    assert (line["paper"], line["paper's claim"]) == ("-0.020", "confirmed")


def test_files_hold_all_digits_and_both_tables(tmp_path: Path) -> None:
    made = small_table()
    csv, compared, markdown, latex = made.write(tmp_path)
    numbers = pd.read_csv(csv)
    assert numbers["ours"].tolist()[2:] == pytest.approx([0.2, 0.25])
    assert numbers["paper"].tolist()[:2] == [0.2, 0.15]
    assert numbers["n"].tolist() == [0, 0, 2, 1]
    differences = pd.read_csv(compared)
    assert differences["p_holm"].tolist() == [0.0004]
    assert differences["mean"].tolist() == pytest.approx([-0.25])
    lines = [line for line in markdown.read_text().splitlines() if line.startswith("|")]
    widths = [line.count("|") for line in lines]
    assert set(widths[:7]) == {6}
    assert len(set(widths[7:])) == 1
    text = latex.read_text()
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 2
    assert r"95 \% interval" in text
    assert text.startswith("% Toy & co.\n% 100 % honest.\n")
    body = [line for line in text.splitlines() if not line.startswith("%")]
    assert "\n".join(body).isascii()


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.2935, "0.2935"), (0.39, "0.390"), (1.1311, "1.1311"), (1.0, "1.000"), (None, "–")],
)
def test_the_papers_numbers_keep_their_digits(value: float | None, told: str) -> None:
    assert papers_number(value) == told


@pytest.mark.parametrize(
    ("p", "told"), [(0.0004, "< 0.001"), (0.04, "0.040"), (math.nan, "–"), (1.0, "1.000")]
)
def test_p_values(p: float, told: str) -> None:
    assert p_value(p) == told


def test_a_table_cannot_ask_for_what_there_is_not() -> None:
    with pytest.raises(ValueError, match="extra"):
        Published.model_validate(
            {"title": "x", "columns": {"A": {"metod": "SP"}}, "rows": {}, "pairs": [], "paper": {}}
        )
