"""Whole runs: resume, order, batch size, bad photos, failures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import genattr
from genattr.errors import UserError
from genattr.method.center import Center
from genattr.results import examples
from genattr.results.summary import load_summary
from genattr.run import experiment
from genattr.run.findings import Findings
from genattr.types import Heatmap
from tests.contract.options import small


def heatmaps(folder: Path, *overrides: str) -> dict[str, Heatmap]:
    """Run and return the heatmaps by photo."""
    cfg = small(folder, "classifier=timm", "target=predicted", "metric=[deletion]", *overrides)
    experiment.run(cfg, folder / "run")
    return {heatmap.image_id: heatmap for heatmap in genattr.load(folder / "run")}


@pytest.mark.parametrize(
    ("method", "filler"),
    [
        ("sp", "noise"),
        ("lime", "mirror"),
        ("mp", "blur"),
        ("mp2", "blur"),
        ("mp2-g", "mirror"),
        ("fido-ca", "mirror"),
    ],
)
def test_a_heatmap_does_not_depend_on_order_or_neighbors(
    tmp_path: Path, method: str, filler: str
) -> None:
    chosen = [f"method={method}", f"filler={filler}"]
    three = heatmaps(tmp_path / "a", *chosen, "selection.limit=3")
    shuffled = heatmaps(tmp_path / "b", *chosen, "selection.limit=null", "selection.sample=6")
    shard = heatmaps(tmp_path / "c", *chosen, "selection.limit=3", "selection.shard.count=2")
    assert set(shard) == set(list(three)[::2])
    for name, heatmap in three.items():
        assert torch.equal(heatmap.values, shuffled[name].values)
        assert name not in shard or torch.equal(heatmap.values, shard[name].values)


@pytest.mark.parametrize("method", ["sp", "lime"])
def test_batch_size_moves_a_heatmap_by_float_noise_alone(tmp_path: Path, method: str) -> None:
    small_batches = heatmaps(tmp_path / "a", f"method={method}", "batch_size=4")
    large_batches = heatmaps(tmp_path / "b", f"method={method}", "batch_size=64")
    for name, heatmap in small_batches.items():
        assert torch.allclose(heatmap.values, large_batches[name].values, atol=1e-5)


def test_rows_stand_in_the_photos_order_whenever_they_were_finished(tmp_path: Path) -> None:
    """Of three slots, a photo that needs no step leaves its own first."""
    several = ["method=mp2", "selection.limit=5", "target=predicted"]
    cfg = small(tmp_path, "classifier=timm", "metric=[deletion]", *several)
    cfg.method.stop = 0.9
    experiment.run(cfg, tmp_path / "run")
    rows = pd.read_parquet(tmp_path / "run" / "per_image.parquet")
    expected = list(heatmaps(tmp_path / "other", "method=center", "selection.limit=5"))
    assert rows["image_id"].tolist() == expected
    assert [photo.image_id for photo in examples.load_photos(tmp_path / "run")] == [
        examples.photo_key(row.image_id, row.target) for row in rows.itertuples()
    ]


def test_a_run_tells_what_the_method_told(tmp_path: Path) -> None:
    cfg = small(tmp_path, "classifier=timm", "target=predicted", "method=mp2", "metric=[deletion]")
    summary = experiment.run(cfg, tmp_path / "run")
    rows = pd.read_parquet(tmp_path / "run" / "per_image.parquet")
    assert summary.values["method/area"] == pytest.approx(rows["method/area"].mean())
    assert summary.values["method/reached_stop"] in (0, 1)


@pytest.mark.parametrize("objective", ["deletion", "preservation"])
def test_pictures_show_what_remains(tmp_path: Path, objective: str) -> None:
    method = ["method=boxes", f"method.objective={objective}", "filler=gray"]
    cfg = small(tmp_path, "show_removed=true", "metric=[localization]", *method)
    experiment.run(cfg, tmp_path / "run")
    (shown,) = examples.load_photos(tmp_path / "run")
    remains = examples.removed_column(tmp_path / "run")
    x0, y0, x1, y1 = shown.boxes[0].round().astype(int)
    inside = np.zeros(shown.image.shape[:2], dtype=bool)
    inside[y0:y1, x0:x1] = True
    kept = ~inside if objective == "deletion" else inside
    image = remains.images[shown.image_id]
    assert np.array_equal(image[kept], shown.image[kept])
    assert (image[~kept] == [124, 116, 104]).all()
    assert remains.captions[shown.image_id].startswith("p = ")


def test_a_rerun_explains_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = heatmaps(tmp_path, "method=center", "selection.limit=2")

    def refuse(*_: object) -> None:
        raise AssertionError("explained again")

    monkeypatch.setattr(Center, "explain", refuse)
    again = heatmaps(tmp_path, "method=center", "selection.limit=2", "metric=[insertion]")
    assert [h.seconds for h in again.values()] == [h.seconds for h in first.values()]


def test_an_interrupted_run_continues_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    explain = Center.explain
    explained: list[str] = []

    def stop_at_third(self: Center, probe: object) -> Heatmap:
        if len(explained) == 2:
            raise KeyboardInterrupt
        explained.append(probe.sample.image_id)
        return explain(self, probe)

    monkeypatch.setattr(Center, "explain", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        heatmaps(tmp_path, "method=center", "selection.limit=4")
    explained.append("stopped")
    assert len(heatmaps(tmp_path, "method=center", "selection.limit=4")) == 4
    assert len(explained) == 2 + 1 + 2


def photo_folder(folder: Path) -> Path:
    folder.mkdir()
    for name in ("a", "c"):
        Image.new("RGB", (40, 40), "teal").save(folder / f"{name}.jpg")
    (folder / "b.jpg").write_bytes(b"not a photo")
    return folder


def test_a_bad_photo_is_named_counted_and_skipped(tmp_path: Path) -> None:
    root = photo_folder(tmp_path / "photos")
    cfg = small(
        tmp_path, "dataset=folder", f"dataset.root={root}", "method=center", "selection.limit=3"
    )
    summary = experiment.run(cfg, tmp_path / "run")
    assert summary.photos == 2
    assert [line.split(":")[0] for line in summary.failed] == [str(root / "b.jpg")]
    assert summary.metrics()["photos_failed"] == 1
    assert summary.metrics()["photos"] == 2
    assert pd.read_parquet(tmp_path / "run" / "per_image.parquet")["image_id"].tolist() == [
        "a.jpg",
        "c.jpg",
    ]


def test_no_readable_photo_is_an_error(tmp_path: Path) -> None:
    root = photo_folder(tmp_path / "photos")
    for name in ("a", "c"):
        (root / f"{name}.jpg").write_bytes(b"")
    cfg = small(
        tmp_path, "dataset=folder", f"dataset.root={root}", "method=center", "selection.limit=3"
    )
    with pytest.raises(UserError, match="none of 3 photos could be read"):
        experiment.run(cfg, tmp_path / "run")


def test_correct_only_keeps_what_the_classifier_gets_right(tmp_path: Path) -> None:
    cfg = small(
        tmp_path, "selection.correct_only=true", "selection.limit=3", "method=full", "metric=[]"
    )
    experiment.run(cfg, tmp_path / "run")
    rows = pd.read_parquet(tmp_path / "run" / "per_image.parquet")
    cfg = small(tmp_path, "target=predicted", "selection.limit=null", "method=full", "metric=[]")
    experiment.run(cfg, tmp_path / "all")
    everything = pd.read_parquet(tmp_path / "all" / "per_image.parquet")
    right = everything[everything["target"] == everything["label"]]
    assert rows["image_id"].tolist() == right["image_id"].tolist()[:3]
    cfg = small(
        tmp_path, "selection.correct_only=true", "selection.limit=null", "selection.held_out=1",
        "method=full", "metric=[]",
    )  # fmt: skip
    experiment.run(cfg, tmp_path / "rest")
    rest = pd.read_parquet(tmp_path / "rest" / "per_image.parquet")
    assert rest["image_id"].tolist() == right["image_id"].tolist()
    assert rest["split"].tolist()[-2:] == ["evaluation", "held_out"]


def test_the_same_photos_are_sampled_for_every_run_seed(tmp_path: Path) -> None:
    chosen = ["method=center", "selection.limit=null", "selection.sample=3"]
    first = heatmaps(tmp_path / "a", *chosen, "seed=1")
    second = heatmaps(tmp_path / "b", *chosen, "seed=2")
    other = heatmaps(tmp_path / "c", *chosen, "selection.seed=5")
    assert list(first) == list(second)
    assert list(first) != list(other)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["method=sp-g", "filler=gray"], "SP-G needs a filler that inpaints, and gray does not"),
        (["method.patch_size=300"], r"method\.patch_size=300: the classifier's images have 224"),
        (["selection.held_out=9"], "only 5 photos are left"),
        (["device=cuda:7"], "device=cuda:7: this machine has none"),
        (["device=tpu"], "must be auto, cpu, cuda"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_run(
    tmp_path: Path, overrides: list[str], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        experiment.run(small(tmp_path, *overrides), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "heatmaps").exists()


def test_summary_has_counts_and_intervals_and_lists_few_numbers(tmp_path: Path) -> None:
    heatmaps(tmp_path, "method=lime", "selection.limit=2")
    summary = load_summary(tmp_path / "run")
    deletion, values = summary.scores["deletion/auc"], summary.values
    assert summary.photos == deletion.n == 2
    assert deletion.low <= deletion.mean <= deletion.high
    assert values["classifier_calls"] == 2 * (1 + 24 + 21)  # s(x), samples, deletion at 160 px
    assert values["filler_calls"] == 2  # gray fills once a photo
    few = {name: score.mean for name, score in summary.scores.items()}
    few |= {"seconds_per_heatmap": values["seconds_per_heatmap"], "photos": 2}
    assert summary.metrics() == few


def test_held_out_photos_meet_only_the_metrics_that_choose_on_them(tmp_path: Path) -> None:
    held_out = ["selection.limit=1", "selection.held_out=2", "method=center"]
    metrics = "metric=[localization,deletion,saliency]"
    experiment.run(small(tmp_path, *held_out, metrics), tmp_path / "run")
    rows = pd.read_parquet(tmp_path / "run" / "per_image.parquet").set_index("split")
    assert rows.loc["held_out", "deletion/auc"].isna().all()
    assert rows.loc["held_out", "saliency/saliency"].notna().all()
    assert rows.loc["evaluation", "deletion/auc"] == pytest.approx(
        load_summary(tmp_path / "run").scores["deletion/auc"].mean
    )


def test_a_photo_without_boxes_is_left_out_by_name(tmp_path: Path, kaggle_tree: Path) -> None:
    named = ["dataset=imagenet", f"dataset.root={kaggle_tree}", "dataset.resize=null"]
    boxes = kaggle_tree / "LOC_val_solution.csv"
    boxes.write_text("ImageId,PredictionString\none,n01443537 1 2 3 4 \nzoo,n01558993 \n"
                     "two,n01440764 0 0 19 9 \n")  # fmt: skip
    cfg = small(tmp_path, *named, "method=boxes", "metric=[deletion]", "selection.limit=3")
    cfg.dataset.annotations = str(boxes)
    summary = experiment.run(cfg, tmp_path / "run")
    assert summary.photos == 2
    (line,) = summary.failed
    assert line == "zoo: it has no boxes, which method=boxes needs"


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["metric=[drift]"], "metric drift needs boxes, and no photo of dataset folder has any"),
        (["method=boxes"], "method boxes needs boxes, and no photo of dataset folder has any"),
    ],
)
def test_what_needs_boxes_is_refused_where_there_are_none(
    tmp_path: Path, overrides: list[str], told: str
) -> None:
    Image.new("RGB", (40, 40), "teal").save(tmp_path / "photo.png")
    folder = ["dataset=folder", f"dataset.root={tmp_path}", "metric=[deletion]"]
    with pytest.raises(UserError, match=told):
        experiment.assemble(small(tmp_path, *folder, *overrides))


def test_the_photos_are_chosen_in_batches_of_one_size(tmp_path: Path) -> None:
    study = experiment.assemble(small(tmp_path, "selection.correct_only=true", "batch_size=4"))
    sizes: list[int] = []
    called = type(study.classifier).__call__

    def watched(self: object, images: torch.Tensor) -> torch.Tensor:
        sizes.append(len(images))
        return called(self, images)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(study.classifier), "__call__", watched)
        experiment.choose(study, Findings())
    assert set(sizes) == {4}


def test_the_run_returns_the_number_that_a_sweeper_optimizes(tmp_path: Path) -> None:
    cfg = small(tmp_path, "method=center", "metric=[deletion]", "optimize=deletion/auc")
    summary = experiment.run(cfg, tmp_path / "run")
    assert summary.number(cfg.optimize) == summary.scores["deletion/auc"].mean
    with pytest.raises(UserError, match="optimize=deletion/area: no such score; there is deletion"):
        summary.number("deletion/area")
    with pytest.raises(UserError, match="optimize=insertion/auc: no such score; it begins with"):
        experiment.assemble(small(tmp_path, "metric=[deletion]", "optimize=insertion/auc"))
