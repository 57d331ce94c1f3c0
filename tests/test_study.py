"""The study in blocks: what is still to do, and rows that grow photo by photo."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from benchmarks.study import merge, plan
from benchmarks.study.plan import Group, Plan
from genattr.results.finished import Member
from genattr.run import experiment
from tests.contract.options import small

PLAN = Plan(
    photos=["dataset=imagenet"],
    groups={
        "main": Group(
            evaluated=3,
            held_out=1,
            chunk=2,
            metrics=["metric=[deletion]"],
            thresholds=["metric=[saliency]"],
            rows={"SP": ["method=sp"], "SP-G": ["method=sp-g"]},
        )
    },
)
PHOTOS = {"efficientnet_lite0": {"evaluation": ["a", "b", "c", "d"], "held_out": ["x", "y"]}}


def jobs(found: Path) -> list[tuple[str, str, str]]:
    return [(job.row, job.split, "".join(job.photos)) for job in plan.pending(PLAN, PHOTOS, found)]


def test_rows_take_turns_and_thresholds_come_first(tmp_path: Path) -> None:
    assert jobs(tmp_path) == [
        ("SP", "held_out", "x"),
        ("SP-G", "held_out", "x"),
        ("SP", "evaluation", "ab"),
        ("SP-G", "evaluation", "ab"),
        ("SP", "evaluation", "c"),
        ("SP-G", "evaluation", "c"),
    ]
    first = next(plan.pending(PLAN, PHOTOS, tmp_path))
    assert first.overrides == [
        "dataset=imagenet", "classifier=efficientnet_lite0", "method=sp", "metric=[saliency]",
    ]  # fmt: skip


def test_the_first_photos_may_have_more_metrics(tmp_path: Path) -> None:
    more = plan.More(photos=1, overrides=["+judges=four"])
    group = PLAN.groups["main"].model_copy(update={"more": more, "held_out": 0, "of": "all"})
    asked = PLAN.model_copy(update={"groups": {"main": group}})
    photos = {"efficientnet_lite0": {"all": ["p", "q", "r", "s"], "held_out": []}}
    of_row = [job for job in plan.pending(asked, photos, tmp_path) if job.row == "SP"]
    assert ["".join(job.photos) for job in of_row] == ["p", "qr"]
    assert [job.overrides[-1] for job in of_row] == ["+judges=four", "metric=[deletion]"]


def test_what_a_row_holds_is_not_done_again(tmp_path: Path) -> None:
    row = tmp_path / "main" / "SP"
    row.mkdir(parents=True)
    held = {"image_id": ["a", "c", "x"], "split": ["evaluation", "evaluation", "held_out"]}
    pd.DataFrame(held).to_parquet(row / plan.TABLE)
    assert [job for job in jobs(tmp_path) if job[0] == "SP"] == [("SP", "evaluation", "b")]


def test_the_plan_that_comes_along_is_read_and_its_rows_are_told_apart() -> None:
    asked = plan.read()
    for name, group in asked.groups.items():
        folders = {plan.Job(name, row, "", (), ()).folder for row in group.rows}
        assert len(folders) == len(group.rows)


@pytest.fixture
def row(tmp_path: Path) -> Path:
    """Three photos, in two runs of one photo and one for the threshold."""
    folder = tmp_path / "row"
    for number, split in enumerate(["held_out", "evaluation", "evaluation"]):
        names = tmp_path / f"{number}.txt"
        names.write_text(["coffee", "chelsea", "rocket"][number])
        run = tmp_path / str(number)
        metrics = "metric=[saliency]" if split == "held_out" else "metric=[deletion,saliency]"
        chosen = [f"selection.names={names}", "selection.limit=null", "target=predicted"]
        cfg = small(tmp_path, "classifier=timm", "method=center", metrics, *chosen)
        experiment.run(cfg, run)
        merge.add(run, folder, split)
    return folder


def test_a_row_is_like_one_run_over_all_its_photos(tmp_path: Path, row: Path) -> None:
    found = Member(row)
    assert found.summary.photos == 2
    assert found.summary.scores["deletion/auc"].n == 2
    assert found.summary.values["saliency/alpha_chosen_on_held_out"] == 1
    names = tmp_path / "all.txt"
    names.write_text("chelsea\nrocket\n")
    held_out = tmp_path / "0.txt"
    chosen = [f"selection.names={names}", f"selection.held_out_names={held_out}"]
    cfg = small(
        tmp_path, "classifier=timm", "method=center", "metric=[deletion,saliency]", *chosen,
        "selection.limit=null", "target=predicted",
    )  # fmt: skip
    whole = experiment.run(cfg, tmp_path / "whole")
    for name, score in whole.scores.items():
        assert found.summary.scores[name] == score
    assert found.summary.values["saliency/alpha"] == whole.values["saliency/alpha"]
    facts = json.loads((row / merge.ENVIRONMENT).read_text())
    assert facts["processors"] == [torch.backends.cpu.get_cpu_capability()]
