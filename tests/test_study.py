"""The study in blocks: what is still to do, and rows that grow photo by photo."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.study import __main__ as blocks
from benchmarks.study import beyond, choosing, judges, merge, objects, page, plan
from benchmarks.study.background import Background
from benchmarks.study.choosing import Chosen, redrawn
from benchmarks.study.claims import THREE_MASKS, Claim
from benchmarks.study.claims import claims as claimed
from benchmarks.study.plan import Group, Plan
from genattr.analysis.sensitivity import Sensitivity
from genattr.analysis.similarity import MEASURES
from genattr.analysis.statistics import paired
from genattr.method.boxes import Boxes
from genattr.metric.localization import Localization
from genattr.probe import Probe
from genattr.report.table import Comparison
from genattr.results import comparison
from genattr.results.finished import Member
from genattr.results.summary import load_summary
from genattr.run import experiment
from tests.conftest import ConstantFiller, LinearClassifier, photo
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


def test_a_block_begins_nothing_that_takes_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    def run(job: plan.Job, *_: Path) -> None:
        clock[0] += 100 * len(job.photos)

    monkeypatch.setattr(blocks, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(blocks, "run", run)
    monkeypatch.setattr(merge, "add", lambda *_: None)
    asked = [f"--root={tmp_path}", f"--found={tmp_path}", "--processes=1", "--hours=0.1"]
    block = blocks.Block(blocks.parse(asked))
    block.work(list(plan.pending(plan.part(PLAN, ["main"], 3, ["SP"]), PHOTOS, tmp_path)), tmp_path)
    assert block.told() == {"photos": {"main: SP": 3}, "failed": [], "left": 1}


def test_a_part_has_fewer_photos_and_groups() -> None:
    asked = plan.part(PLAN, ["main"], 2).groups["main"]
    assert (asked.evaluated, asked.held_out) == (2, 1)
    assert plan.part(PLAN, ["main"], 2, held_out=0).groups["main"].held_out == 0
    assert plan.part(PLAN, [], 2).groups == {}
    assert list(plan.part(PLAN, ["main"], 2, ["SP-G"]).groups["main"].rows) == ["SP-G"]


def test_the_plan_that_comes_along_is_read_and_its_rows_are_told_apart() -> None:
    asked = plan.read()
    for name, group in asked.groups.items():
        folders = {plan.folder(name, row) for row in group.rows}
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
    columns = ["image_id", "saliency/score"]  # at the threshold of all, not at that of a part
    as_whole = Member(tmp_path / "whole").evaluated[columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(found.evaluated[columns].reset_index(drop=True), as_whole)
    facts = json.loads((row / merge.ENVIRONMENT).read_text())
    assert facts["processors"] == [torch.backends.cpu.get_cpu_capability()]


def of_imagenet(row: Path, copy: Path) -> Path:
    """Copy a row to a folder named by a method and its inpainter, and make it theirs."""
    shutil.copytree(row, copy)
    summary = load_summary(copy)
    method = replace(summary.parts["method"], title=copy.name.partition("_")[0])
    dataset = replace(summary.parts["dataset"], option="imagenet")
    replace(summary, parts={**summary.parts, "method": method, "dataset": dataset}).save(copy)
    return copy


@pytest.fixture
def found(tmp_path: Path, row: Path) -> Path:
    """Three rows of the main tables: the same photos, with other scores."""
    folder = tmp_path / "found"
    for name, shift in {"SP": 0.0, "SP-G_mirror": -0.1, "SP-G_lightfill": 0.1}.items():
        copy = of_imagenet(row, folder / "main" / name)
        table = Member(row).table
        for judged in (column for of in judges.COLUMNS.values() for column in of.values()):
            table[judged] = table["deletion/auc"] + shift
        table.to_parquet(copy / plan.TABLE)
    return folder


def test_the_page_sets_both_inpainters_beside_the_paper(tmp_path: Path, found: Path) -> None:
    (tmp_path / "docs" / "images").mkdir(parents=True)
    page.main(["--found", str(found), "--docs", str(tmp_path / "docs")])
    assert (tmp_path / "docs" / page.PICTURE).stat().st_size > 0
    text = (tmp_path / "docs" / "results.md").read_text(encoding="utf-8")
    for inpainter, gap in {"mirror": "-0.100", "lightfill": "+0.100"}.items():
        line = f"| Table 3, Deletion: SP-G − SP | {inpainter} | -0.023 | {gap} ["
        assert line in text
    assert "Kendall's tau, without full and random): gray and blur 1.00" in text


def test_noise_is_how_far_the_same_photos_move(found: Path) -> None:
    for name, group in {"SP-G_lightfill": "noise", "SP": "noise"}.items():
        shutil.copytree(found / "main" / name, found / group / name)
    table = pd.read_parquet(found / "noise" / "SP" / plan.TABLE)
    table["deletion/auc"] += [0.0, 0.01, -0.03]  # the first is held out
    table["saliency/score"] += 1  # at the threshold of no photos for choices
    table[table["split"] == "evaluation"].to_parquet(found / "noise" / "SP" / plan.TABLE)
    moved = beyond.noise(found)
    assert list(moved["deletion"]) == ["-0.0100 (0.0200)", "+0.0000 (0.0000)"]
    assert list(moved["saliency"]) == ["+0.0000 (0.0000)"] * 2  # at that of the row without noise
    assert list(moved["n"]) == ["2", "2"]


def overlapping(*thresholds: int) -> dict[str, list[float]]:
    """Return a photo's columns whose box meets the object's at these of the twenty thresholds."""
    return {"iou": [float(place in thresholds) for place in range(20)]}


def test_the_photos_that_choose_are_drawn_anew() -> None:
    metric = Localization(alpha=0.5, component="all")
    names = [f"photo {number}" for number in range(12)]
    held_out = {"a": overlapping(3), "b": overlapping(5)}
    moves = Chosen(metric, {name: overlapping(3) for name in names}, held_out)
    stays = Chosen(metric, {name: overlapping(3, 5) for name in names}, held_out)
    found = redrawn(moves, stays)
    assert len(found) == choosing.DRAWS
    assert {one.n for one in found} == {len(names)}
    worse = [one for one in found if one.mean == 1]  # b is drawn twice: one draw in four
    assert len(worse) == pytest.approx(len(found) / 4, rel=0.15)
    assert all(one.mean == 0 for one in found if one not in worse)  # of two equal, the smaller
    share = round(100 * len(worse) / len(found))
    assert choosing.told(found) == f"[+0.000, +1.000], better in 0 %, worse in {share} %"
    swapped = choosing.told(redrawn(stays, moves))
    assert swapped == f"[-1.000, +0.000], better in {share} %, worse in 0 %"


def test_draws_of_the_photos_that_choose_say_who_wins(found: Path) -> None:
    lines = choosing.by_pair(found)
    assert list(lines.index) == ["SP-G lightfill − SP", "SP-G mirror − SP"]
    assert set(lines["saliency"]) == {"[+0.000, +0.000], better in 0 %, worse in 0 %"}
    assert set(lines["localization error"]) == {""}  # not scored


def test_rows_that_have_chosen_alone_are_left_out_of_the_budget(found: Path) -> None:
    for name in ("SP", "SP-G_mirror"):
        shutil.copytree(found / "main" / name, found / "budget" / name)
    table = pd.read_parquet(found / "budget" / "SP" / plan.TABLE)
    table[table["split"] == "held_out"].to_parquet(found / "budget" / "SP" / plan.TABLE)
    budget = beyond.budget(found)
    assert list(budget.index) == ["SP-G mirror"]
    assert budget.attrs["photos"] == 2


def test_the_best_at_equal_budget_is_that_of_the_better_direction(found: Path) -> None:
    for name in ("SP", "SP-G_mirror", "SP-G_lightfill"):
        shutil.copytree(found / "main" / name, found / "budget" / name)
    best = beyond.best_at_budget(found)
    assert list(best.loc["deletion", ["best", "next"]]) == ["SP-G mirror", "SP"]
    assert str(best.loc["deletion", "best − next"]).startswith("-0.100 [")
    assert "SRG" not in best.index
    shutil.copytree(found / "budget" / "SP-G_mirror", found / "budget" / "its twin")
    best = beyond.best_at_budget(found)
    assert list(best.loc["deletion", ["best", "next"]]) == ["SP-G mirror, its twin", "SP"]
    assert list(best.loc["saliency"]) == ["all alike", "", ""]


def test_all_but_the_boxes_is_where_they_are_not() -> None:
    boxes = torch.tensor([[2.0, 3.0, 6.0, 9.0]])
    probe = Probe(
        photo(12, boxes=boxes), 1, LinearClassifier(torch.zeros(3, 12, 12)), ConstantFiller()
    )
    object_map = Boxes("deletion").values(probe)
    assert torch.equal(Background("deletion").values(probe) + object_map, torch.ones(12, 12))


def test_birds_are_told_from_other_photos(found: Path) -> None:
    assert {8, 100, 146} <= objects.birds()
    assert not {6, 25, 101} & objects.birds()
    for group, accuracy in {"table1": 0.0, "sec41": 1.0}.items():
        shutil.copytree(found / "main" / "SP", found / group / "gray")
        table = pd.read_parquet(found / group / "gray" / plan.TABLE)
        table = table.assign(label=[7, 8, 0])  # the first is held out
        table["judge/accuracy"], table["ms_ssim/score"] = [0.5, accuracy, 0.5], 0.25
        table.to_parquet(found / group / "gray" / plan.TABLE)
    birds = objects.removed(found, objects.birds())
    assert birds.attrs["photos"] == 1
    assert objects.removed(found).attrs["photos"] == 2
    told = birds.loc["gray"].str.partition(" ")[0].to_dict()
    assert told == {
        "judge's accuracy without the object": "0.000",
        "MS-SSIM without the object": "0.250",
        "judge's accuracy without the background": "1.000",
        "MS-SSIM without the background": "0.250",
    }


@pytest.mark.parametrize(
    ("paper", "photos", "is_beyond", "is_weaker"),
    [
        (-0.5, 10, True, True),
        (-0.5, 9, False, True),
        (-0.14, 10, False, False),
        (-0.01, 10, True, False),
        (0.5, 10, True, True),
        (None, 10, False, True),
    ],
)
def test_the_papers_difference_is_held_against_the_interval(
    paper: float | None, photos: int, is_beyond: bool, is_weaker: bool
) -> None:
    scores = [0.5 + 0.01 * photo for photo in range(photos)]
    others = [0.6 + 0.02 * photo for photo in range(photos)]  # on average by 0.145 more
    difference = paired(scores, others, better="lower")
    found = Comparison("imagenet", "Deletion", "SP-G", "SP", difference, 0.2, paper)
    claim = Claim("table3_deletion", "Table 3", "mirror", found)
    assert claim.is_beyond == is_beyond
    assert claim.is_weaker == is_weaker


def test_photos_that_are_all_alike_exclude_nothing() -> None:
    difference = paired([1.0] * 10, [1.0] * 10, better="lower")
    found = Comparison("imagenet", "Localization error", "SP-G", "SP", difference, 1.0, -0.5)
    assert not Claim("table2_localization", "Table 2", "mirror", found).is_beyond


def stable(row: Path, copy: Path, over: str, similarity: float) -> None:
    """Copy a row as ``of_imagenet`` does, with the similarity of two photos' maps over a key."""
    of_imagenet(row, copy)
    values = {"mask_size": ["28", "56", "112"], "patch_size": ["5", "17", "29", "41", "53"]}[over]
    pairs = len(values) * (len(values) - 1) // 2
    title = copy.name.partition("_")[0]
    alike = Sensitivity(
        title=title,
        over=over,
        values=values,
        photos=[("a", 0), ("b", 0)],
        similarities=np.full((2, pairs, len(MEASURES)), similarity),
        family=title.partition("-")[0],
    )
    comparison.write([alike], copy, title="alike")


def test_three_sizes_of_masks_are_compared_photo_by_photo(tmp_path: Path, row: Path) -> None:
    for name, similarity in {"MP2": 0.5, "MP2-G_mirror": 0.75}.items():
        stable(row, tmp_path / "found" / "sam_112" / name, "mask_size", similarity)
    claims = {claim.found.score: claim for claim in claimed(tmp_path / "found", THREE_MASKS)}
    assert set(claims) == {"SSIM", "HOG", "Spearman"}
    difference = claims["HOG"].found.difference
    assert beyond.counted(difference) == "+0.250 [+0.250, +0.250], n = 2"
    assert (claims["HOG"].found.first, claims["HOG"].inpainter) == ("MP2-G", "mirror")


def test_a_method_is_compared_with_the_row_that_is_searched_alike(
    tmp_path: Path, row: Path
) -> None:
    found = tmp_path / "found"
    similarities = {
        "sam/SP": 0.5, "sam/SP-G_mirror": 0.75, "sam/SP_lightfill": 0.25,
        "sam/SP-G_lightfill": 0.875, "sam_search/SP-G_mirror": 0.625,
    }  # fmt: skip
    for name, similarity in similarities.items():
        stable(row, found / name, "patch_size", similarity)
    gaps = {
        claim.inpainter: claim.found.difference.mean
        for claim in claimed(found)
        if claim.found.score == "HOG"
    }
    assert gaps == {"mirror": 0.25, "lightfill": 0.625}
    moved = beyond.search(found)["HOG"].str.partition(" ")[0]
    assert dict(moved) == {"SP": "-0.250", "SP-G mirror": "-0.125"}


def test_larger_masks_are_told_by_method(tmp_path: Path, row: Path) -> None:
    found = tmp_path / "found"
    stable(row, found / "sam" / "MP2", "mask_size", 0.75)
    stable(row, found / "sam" / "MP2-G_mirror", "mask_size", 0.5)
    assert beyond.larger_masks(found).empty
    stable(row, found / "sam_112" / "MP2", "mask_size", 0.5)
    moved = beyond.larger_masks(found)["HOG"].str.partition(" ")[0]
    assert dict(moved) == {"MP2": "-0.250"}


def test_what_the_network_changes_is_the_difference_of_its_differences(found: Path) -> None:
    assert beyond.networks(found).empty
    for name in ("SP", "SP-G_mirror"):
        shutil.copytree(found / "main" / name, found / "lite2" / name)
    table = pd.read_parquet(found / "lite2" / "SP-G_mirror" / plan.TABLE)
    table["deletion/auc"] += 0.25
    table.to_parquet(found / "lite2" / "SP-G_mirror" / plan.TABLE)
    changed = beyond.networks(found)
    assert list(changed.index) == ["SP-G mirror − SP"]
    assert changed.loc["SP-G mirror − SP", "deletion"] == "+0.250 [+0.250, +0.250], n = 2"
    assert changed.loc["SP-G mirror − SP", "saliency"] == "+0.000 [+0.000, +0.000], n = 2"


def test_each_row_has_a_command_of_its_own() -> None:
    commands = plan.keys(PLAN)
    assert commands["main", "SP"] == "classifier=efficientnet_lite0 method=sp 'metric=[deletion]'"
    every = plan.keys(plan.read())
    assert len(set(every.values())) == len(every)


def test_what_a_filler_does_may_go_with_its_scores() -> None:
    lines = pd.DataFrame({"gap": [0.1, 0.2, 0.3, 0.4], "LIME's deletion": [0.9, 0.5, 0.4, 0.1]})
    assert beyond.predicts(lines, "gap") == {"LIME's deletion": pytest.approx(-1)}


def test_rows_without_common_photos_are_not_compared(found: Path) -> None:
    other = found / "main" / "SP-G_mirror"
    table = pd.read_parquet(other / plan.TABLE)
    table["image_id"] = [f"{name} again" for name in table["image_id"]]
    table.to_parquet(other / plan.TABLE)
    assert beyond.gap(found / "main" / "SP", other, "deletion/auc", "lower") is None
