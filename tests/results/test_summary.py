"""The summary of a run: what it holds, and what an older one does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from genattr.errors import UserError
from genattr.results.summary import (
    SUMMARY,
    Part,
    Summary,
    load_summary,
    photos_on_curve,
    short_titles,
)
from tests.contract.options import built, compose_config


def summary(method: str, classifier: str) -> Summary:
    parts = {
        "method": Part("sp", method),
        "filler": Part("mirror", "mirror", True),
        "classifier": Part("toy", classifier),
    }
    title = f"{method} · mirror · {classifier}"
    return Summary(title, "", {}, {}, {}, 1, parts=parts, family="SP", swept={"seed": "3"})


def test_comes_back_whole(tmp_path: Path) -> None:
    written = summary("SP-G", "toy")
    written.save(tmp_path)
    assert load_summary(tmp_path) == written
    assert written.parts["filler"].inpaints


def test_one_of_an_older_version_is_refused_in_one_line(tmp_path: Path) -> None:
    summary("SP", "toy").save(tmp_path)
    data = json.loads((tmp_path / SUMMARY).read_text())
    del data["format"], data["parts"]
    (tmp_path / SUMMARY).write_text(json.dumps(data))
    with pytest.raises(UserError, match=r"is of an older version: run it again; it keeps its"):
        load_summary(tmp_path)


def test_titles_leave_out_a_classifier_that_all_have() -> None:
    assert short_titles([summary("SP", "a"), summary("SP-G", "a")]) == [
        "SP · mirror",
        "SP-G · mirror",
    ]
    assert short_titles([summary("SP", "a"), summary("SP", "b")]) == [
        "SP · mirror · a",
        "SP · mirror · b",
    ]


def test_photos_on_a_curve_are_those_that_have_one() -> None:
    metric = built(
        compose_config("metric=[localization]").metric.localization, "metric.localization"
    )
    seen = {"localization/iou": [0.7] * 20}
    blind = {"localization/iou": None}
    rows = [{"image_id": "a"} | seen, {"image_id": "a"} | seen, {"image_id": "b"} | blind]
    assert photos_on_curve(metric, "localization", rows) == 1
    assert photos_on_curve(metric, "localization", [*rows, {"image_id": "c"} | seen]) == 2
    assert metric.curve([{"iou": [0.7] * 20}, {"iou": None}]).tolist() == [0.0] * 20
