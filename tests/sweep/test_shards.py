"""A selection spread over shards and merged is the run that was not spread."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra

import genattr
from genattr.__main__ import main
from genattr.results.summary import load_summary
from tests.sweep.test_lifecycle import places, runs

CHEAP = [
    "classifier=timm",
    "classifier.name=test_resnet",
    "classifier.pretrained=false",
    "target=predicted",
    "method=random",
    "metric=[deletion,saliency]",
    "metric.deletion.tie_seeds=1",
    "selection.limit=4",
    "selection.held_out=2",
    "threads=1",
]


def test_merged_shards_are_the_whole_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(folder: str, *arguments: str) -> None:
        words = ["run.py", *arguments, *CHEAP, *places(tmp_path / folder)]
        monkeypatch.setattr(sys, "argv", words)
        GlobalHydra.instance().clear()
        main()

    run("whole")
    run("spread", "-m", "selection.shard.index=range(0,3)", "selection.shard.count=3")
    whole, merged = tmp_path / "whole" / "single", tmp_path / "spread" / "sweep" / "merged" / "0"
    expected, found = load_summary(whole), load_summary(merged)
    assert found.scores == expected.scores
    unlike = {"seconds_per_heatmap", "member"}
    assert {k: v for k, v in found.values.items() if k not in unlike} == {
        k: v for k, v in expected.values.items() if k not in unlike
    }
    rows, all_rows = (pd.read_parquet(one / "per_image.parquet") for one in (merged, whole))
    assert rows["image_id"].tolist() == all_rows["image_id"].tolist()
    assert rows["split"].tolist() == ["evaluation"] * 4 + ["held_out"] * 2
    kept = all_rows.columns.drop("seconds")
    assert rows.columns.drop("seconds").tolist() == kept.tolist()
    pd.testing.assert_frame_equal(rows[kept], all_rows[kept], check_exact=True)
    pairs = zip(genattr.load(merged), genattr.load(whole), strict=True)
    assert all(torch.equal(a.values, b.values) for a, b in pairs)
    kinds = sorted(run.data.tags["kind"] for run in runs(tmp_path / "spread"))
    assert kinds == ["member", "shard", "shard", "shard", "sweep"]
    (member,) = [one for one in runs(tmp_path / "spread") if one.data.tags["kind"] == "member"]
    (parent,) = [one for one in runs(tmp_path / "spread") if one.data.tags["kind"] == "sweep"]
    assert member.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert parent.info.status == member.info.status == "FINISHED"
