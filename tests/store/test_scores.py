"""Scores are kept beside their heatmaps: found again exactly as they were, and never stale."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from genattr.filler.gray import Gray
from genattr.metric.base import Metric
from genattr.metric.deletion import Deletion
from genattr.metric.judge import Judge
from genattr.metric.localization import Localization
from genattr.results.summary import Row
from genattr.run import experiment
from genattr.run.findings import Findings
from genattr.store import scores
from genattr.store.__main__ import main
from genattr.store.heatmaps import Key
from genattr.store.scores import ScoreStore, score_key
from genattr.tracking.base import Run
from genattr.types import Heatmap, Sample
from tests.conftest import LinearClassifier, photo
from tests.contract.options import small
from tests.store.test_heatmaps import heatmap

KEY = "ab" * 32
NAMES = ["cat", "dog"]


def key_of(
    metric: Metric,
    made: Heatmap | None = None,
    sample: Sample | None = None,
    names: list[str] = NAMES,
) -> Key | None:
    return score_key(KEY, made or heatmap(), metric, sample or photo(8), names)


def deletion(**changes: Any) -> Deletion:
    return replace(Deletion(Gray([0.5, 0.5, 0.5]), None, 1), **changes)


def test_a_key_changes_with_whatever_a_score_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    sample, boxes = photo(8), torch.tensor([[0.0, 0.0, 4.0, 4.0]])
    twin = replace(sample, label=7, boxes=boxes)
    black = Judge(0.5, LinearClassifier(torch.zeros(3, 8, 8)))
    white = Judge(0.5, LinearClassifier(torch.ones(3, 8, 8), fingerprint="white"))
    keys = [
        key_of(deletion()),
        score_key("cd" * 32, heatmap(), deletion(), sample, NAMES),
        key_of(deletion(), heatmap(1)),
        key_of(deletion(), heatmap(score=0.26)),
        key_of(deletion(tie_seeds=2)),
        key_of(deletion(filler=Gray([0.5, 0.5, 0.6]))),
        key_of(deletion(), names=["dog", "cat"]),
        key_of(deletion(), sample=replace(sample, label=7)),
        key_of(deletion(), sample=replace(sample, boxes=boxes)),
        key_of(deletion(), sample=replace(sample, boxes=boxes + 1)),
        key_of(deletion(), sample=replace(sample, others=(twin,))),
        key_of(Localization(0.5, "all")),
        key_of(Localization(0.5, "largest")),
        key_of(black),
        key_of(white),
    ]
    monkeypatch.setattr(scores, "SCORES_VERSION", 2)
    keys.append(key_of(deletion()))
    assert None not in keys
    assert len(set(keys)) == len(keys)
    assert key_of(deletion()) == keys[-1]


@dataclass(frozen=True)
class Lucky(Metric):
    """Another score each time."""

    is_repeatable: ClassVar[bool] = False


def test_some_scores_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert key_of(Lucky()) is None
    nowhere = type("Nowhere", (Deletion,), {"__module__": "__main__"})
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    assert key_of(nowhere(Gray([0.5, 0.5, 0.5]), None, 1)) is None


def test_a_users_metric_has_the_key_of_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    keys = set()
    for value in (1.5, 2.55):
        code = f"class Mine(Lucky):\n    is_repeatable = True\n    value = {value}\n"
        code = f"from tests.store.test_scores import Lucky\n{code}"
        (tmp_path / "my_metric.py").write_text(code)
        sys.modules.pop("my_metric", None)
        keys.add(key_of(importlib.import_module("my_metric").Mine()))
    assert len(keys - {None}) == 2


@pytest.mark.parametrize(
    "values",
    [
        {"b": 1.0, "a": 1, "none": None, "true": True, "text": "é"},
        {"curve": [0.1, 1e-300, 1 / 3, -0.0], "nan": float("nan"), "inf": float("inf")},
        {"nested": {"z": [1, [2.5, None]], "a": {}}, "many": 2**70},
        {},
    ],
)
def test_scores_come_back_as_they_were(tmp_path: Path, values: dict[str, Any]) -> None:
    store, key = ScoreStore(tmp_path), Key.of({"any": 1})
    assert store.get(KEY) == {}
    store.put(KEY, {key: values})
    store.put(KEY, {Key.of({"any": 2}): {"other": 1}})
    found = store.get(KEY)[key]
    assert repr(found) == repr(values)
    assert [path.name for path in tmp_path.rglob("*.*")] == [f"{KEY}.scores.json"]


@pytest.mark.parametrize(
    "value", [(1, 2), np.float64(1), np.float32(1), np.ones(2), {1: 2}, torch.ones(1)]
)
def test_what_would_not_come_back_is_not_kept(tmp_path: Path, value: object) -> None:
    store = ScoreStore(tmp_path)
    store.put(KEY, {Key.of(1): {"value": value}, Key.of(2): {"value": 2}})
    assert list(store.get(KEY)) == [Key.of(2)]


def test_a_damaged_file_is_named_and_written_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = ScoreStore(tmp_path)
    store.put(KEY, {Key.of(1): {"value": 1}})
    (file,) = tmp_path.rglob("*.json")
    file.write_text(file.read_text()[:-9])
    assert store.get(KEY) == {}
    assert f"{file} is damaged (JSONDecodeError): scored again" in caplog.text
    store.put(KEY, {Key.of(1): {"value": 1}})
    assert store.get(KEY) == {Key.of(1): {"value": 1}}


def test_a_store_that_cannot_be_written_to_does_not_end_a_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / KEY[:2]).write_text("a file in the folder's place")
    ScoreStore(tmp_path).put(KEY, {Key.of(1): {"value": 1}})
    assert "scores are not kept there" in caplog.text


def test_the_stores_command_knows_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ScoreStore(tmp_path).put(KEY, {Key.of(1): {"value": 1}})
    (file,) = tmp_path.rglob("*.json")
    for command, told in (
        ("list", "1 files of scores: "),
        ("verify", "1 files in"),
        ("prune --other-versions --yes", "0 files in"),
    ):
        main(["--store", str(tmp_path), *command.split()])
        assert told in capsys.readouterr().out
    file.write_text(file.read_text().replace(Key.of(1), Key.of(2)))
    with pytest.raises(SystemExit):
        main(["--store", str(tmp_path), "verify"])
    assert f"{file}: scores under another's name" in capsys.readouterr().out
    main(["--store", str(tmp_path), "prune", "--all", "--yes"])
    assert not file.exists()


def found(folder: Path, *overrides: str) -> Findings:
    """Explain and score two photos, one of them held out."""
    chosen = ["classifier=timm", "method=boxes", "selection.held_out=1", *overrides]
    study, findings = experiment.assemble(small(folder, *chosen)), Findings()
    experiment.explain_and_score(study, experiment.choose(study, findings), findings, Run())
    return findings


def scores_of(row: Row, *metrics: str) -> str:
    return repr({key: row[key] for key in row if key.partition("/")[0] in metrics})


def test_a_repeated_run_scores_nothing(tmp_path: Path) -> None:
    first, again = found(tmp_path), found(tmp_path)
    assert first.counts.scored > 0
    assert again.counts.scored == 0  # the run's classifier_calls: what was kept costs nothing
    assert repr(again.rows) == repr(first.rows)
    further = found(tmp_path, "metric=[saliency,deletion,remains]")
    assert 0 < further.counts.scored <= 2  # what remains
    for kept in ("saliency", "deletion"):
        assert scores_of(further.rows[0], kept) == scores_of(first.rows[0], kept)
    changed = found(tmp_path, "metric=[deletion]", "metric.deletion.pixels_per_step=5000")
    assert changed.counts.scored > 0
    assert changed.rows[0]["deletion/curve"] != first.rows[0]["deletion/curve"]
