"""Every option of every group runs for real, on an embedded photo, through the same checks."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

import genattr
from genattr.results import comparison
from genattr.results.summary import load_summary
from genattr.run import experiment
from tests.contract.options import compose_config, options, runnable, small


def run_and_check(folder: Path, *overrides: str) -> pd.DataFrame:
    """Run, read everything back, check what holds for any run; return the per-image table."""
    cfg = small(folder, *overrides)
    summary = experiment.run(cfg, folder / "run")
    assert summary.photos >= 1
    assert not summary.failed
    assert repr(load_summary(folder / "run")) == repr(summary)
    rows = pd.read_parquet(folder / "run" / "per_image.parquet")
    heatmaps = genattr.load(folder / "run")
    assert rows["image_id"].tolist() == [heatmap.image_id for heatmap in heatmaps]
    for heatmap in heatmaps:
        assert torch.isfinite(heatmap.values).all()
        low, high = heatmap.value_range
        assert low <= heatmap.values.min()
        assert heatmap.values.max() <= high
        assert 0 <= heatmap.score <= 1
    for name in cfg.metric:
        assert any(score.startswith(f"{name}/") for score in summary.scores)
    curves = [f"{name}_alpha.png" for name in ("localization", "saliency") if name in cfg.metric]
    for picture in ("contact_sheet.png", *curves):
        Image.open(folder / "run" / picture).verify()
    return rows


@pytest.mark.parametrize("option", runnable("method"))
def test_method(tmp_path: Path, option: str) -> None:
    run_and_check(tmp_path, f"method={option}")


@pytest.mark.parametrize("option", runnable("filler"))
def test_filler(tmp_path: Path, option: str) -> None:
    run_and_check(tmp_path, f"filler={option}", "method=lime", "metric=[deletion]")


@pytest.mark.parametrize("option", options("segmentation"))
def test_segmentation(tmp_path: Path, option: str) -> None:
    chosen = [f"segmentation@method.segmentation={option}", "filler=mean_segment"]
    rows = run_and_check(tmp_path, "method=lime", *chosen, "metric=[deletion]")
    (heatmap,) = genattr.load(tmp_path / "run")
    assert rows["method/n_segments"].tolist() == [heatmap.details["n_segments"]]
    assert 2 <= len(heatmap.values.unique()) <= heatmap.details["n_segments"]


@pytest.mark.parametrize("option", runnable("metric"))
def test_metric(tmp_path: Path, option: str) -> None:
    run_and_check(tmp_path, f"metric=[{option}]", "method=center")


@pytest.mark.parametrize("option", runnable("classifier"))
def test_classifier(tmp_path: Path, option: str) -> None:
    run_and_check(tmp_path, f"classifier={option}", "target=predicted", "metric=[deletion]")


@pytest.mark.parametrize("option", options("dataset"))
def test_dataset(tmp_path: Path, option: str, kaggle_tree: Path, places_tree: Path) -> None:
    roots = {
        "imagenet": kaggle_tree,
        "imagenet_birds": kaggle_tree,
        "folder": kaggle_tree / "ILSVRC",
        "places365": places_tree,
    }
    root = [f"dataset.root={roots[option]}"] if option in roots else []
    rows = run_and_check(tmp_path, f"dataset={option}", *root, "method=center")
    assert rows["target"].between(0, 999).all()


@pytest.mark.parametrize("option", options("selection"))
def test_selection(tmp_path: Path, option: str) -> None:
    chosen = [f"selection={option}", "selection.limit=2", "method=center"]
    rows = run_and_check(tmp_path, *chosen, "target=predicted", "metric=[localization]")
    assert rows["split"].tolist() == ["evaluation"] * 2 + ["held_out"] * (option == "paper")
    assert (rows["target"] == rows["label"]).all() or option == "all"


@pytest.mark.parametrize("option", options("tracking"))
def test_tracking(tmp_path: Path, option: str) -> None:
    uri = [f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"] if option == "mlflow" else []
    run_and_check(tmp_path, f"tracking={option}", *uri, "method=center", "metric=[deletion]")
    assert (load_summary(tmp_path / "run").run_id is not None) == (option == "mlflow")


@pytest.mark.parametrize("option", options("sensitivity"))
def test_sensitivity(tmp_path: Path, option: str) -> None:
    plain = ["method=center"] * (option == "none")
    cheap = ["classifier=timm", "target=predicted", "metric=[deletion]"]
    run_and_check(tmp_path, f"sensitivity={option}", *plain, *cheap)
    values = compose_config(f"sensitivity={option}").sensitivity["values"]
    compared = comparison.read(tmp_path / "run")
    assert [list(group.values) for group in compared] == [list(map(str, values))] * bool(values)
    if option == "none":
        return
    Image.open(tmp_path / "run" / "sensitivity.png").verify()
    logged = load_summary(tmp_path / "run").values
    assert logged.items() >= {k: v for k, v in compared[0].metrics().items() if v == v}.items()
    n_pairs = len(values) * (len(values) - 1) // 2
    assert logged["sensitivity/count/ssim_pairs"] == n_pairs
    assert -1 <= logged["sensitivity/spearman"] < 1


@pytest.mark.parametrize("option", options("protocol"))
def test_protocol(tmp_path: Path, option: str) -> None:
    run_and_check(tmp_path, f"protocol={option}", "metric=[localization]")


def test_several_targets_a_photo(tmp_path: Path) -> None:
    rows = run_and_check(tmp_path, "target=top-3", "metric=[deletion]")
    assert len(rows) == 3
    assert rows["target"].nunique() == 3
    assert rows["score"].is_monotonic_decreasing


def test_held_out_photos_choose_the_threshold(tmp_path: Path) -> None:
    rows = run_and_check(
        tmp_path,
        "method=center",
        "selection.limit=2",
        "selection.held_out=3",
        "metric=[localization]",
    )
    assert rows["split"].tolist() == ["evaluation"] * 2 + ["held_out"] * 3
    summary = load_summary(tmp_path / "run")
    assert summary.values["localization/alpha_chosen_on_held_out"] == 1
    assert summary.fixed_alphas == {}
    assert summary.photos == 2
