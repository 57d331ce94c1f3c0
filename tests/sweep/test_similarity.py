"""Three ways to the sensitivity of heatmaps, one result: a single run, a sweep, and later."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra.core.global_hydra import GlobalHydra
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image

import genattr
from genattr.__main__ import main
from genattr.analysis.sensitivity import compare
from genattr.report import values
from genattr.results import comparison
from genattr.results.finished import finished
from tests.conftest import REPO
from tests.sweep.test_lifecycle import SMALL, command, places, runs

LIME = ["method=lime", "protocol.n_samples=24", "method.requires_inpainter=false"]
MEASURES = ("ssim", "hog", "spearman")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Three seeds by two fillers."""
    folder = tmp_path_factory.mktemp("similar")
    done = command(folder, "-m", *LIME, "seed=2,0,1", "filler=gray,mirror")
    assert done.returncode == 0, done.stderr[-2000:]
    return folder, done.stdout


@pytest.fixture
def sweep_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run a sweep in this process, which saves its start."""

    def run(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["run.py", "-m", *arguments, *SMALL, *places(tmp_path)])
        GlobalHydra.instance().clear()
        main()

    return run


def of_kind(folder: Path, kind: str) -> list[Run]:
    return [run for run in runs(folder) if run.data.tags["kind"] == kind]


def group_metrics(metrics: dict[str, float], group: str) -> dict[str, float]:
    """Return the metrics of one group of a sweep under the names of a single run."""
    prefix = f"sensitivity/{group}/"
    return {
        k.replace(prefix, "sensitivity/"): v for k, v in metrics.items() if k.startswith(prefix)
    }


def test_a_sweep_compares_members_that_differ_in_the_one_known_key(
    swept: tuple[Path, str],
) -> None:
    folder, printed = swept
    (parent,) = of_kind(folder, "sweep")
    for index, filler in enumerate(("gray", "mirror")):
        maps = {
            seed: genattr.load(folder / "sweep" / str(2 * position + index))
            for seed, position in (("0", 1), ("1", 2), ("2", 0))
        }
        expected = compare("", "seed", maps, 160)
        logged = group_metrics(parent.data.metrics, f"LIME {filler}")
        assert logged == {
            name: pytest.approx(value) for name, value in expected.means().items() if value == value
        }
        assert f"LIME · {filler}" in printed
        for seed, position in (("0", 1), ("1", 2), ("2", 0)):
            member = of_kind(folder, "member")[2 * position + index]
            own = {k: member.data.metrics[f"sensitivity/{k}_to_others"] for k in MEASURES}
            assert own == pytest.approx(expected.to_others(seed))
    assert "similarity over seed" in printed
    Image.open(folder / "sweep" / "sensitivity.png").verify()
    table = pd.read_parquet(folder / "sweep" / "sensitivity.parquet")
    assert table["title"].unique().tolist() == ["LIME · gray", "LIME · mirror"]
    assert len(table) == 4


def test_a_single_run_says_the_same(swept: tuple[Path, str]) -> None:
    folder, _ = swept
    chosen = ["sensitivity=seed", "sensitivity.values=[0,1,2]", "filler=mirror"]
    done = command(folder, *LIME, *chosen)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "similarity over seed" in done.stdout
    (parent,) = of_kind(folder, "sweep")
    (single,) = of_kind(folder, "run")
    of_sweep = group_metrics(parent.data.metrics, "LIME mirror")
    own = {k: v for k, v in single.data.metrics.items() if k.startswith("sensitivity/")}
    assert own == pytest.approx(of_sweep)
    kept = MlflowClient(f"sqlite:///{folder}/mlflow.db").list_artifacts(single.info.run_id)
    assert {"sensitivity.parquet", "sensitivity.png"} <= {file.path for file in kept}
    (line,) = next(values.grids(finished(folder / "single"))).lines
    grids = list(values.grids(finished(folder / "sweep")))
    (of_sweep,) = [one for one in grids[0].lines if one.title == "LIME · mirror"]
    assert list(line.maps) == list(of_sweep.maps) == ["0", "1", "2"]
    for value, maps in line.maps.items():
        for grid in grids:
            one = grid.image_id
            assert np.array_equal(maps[one], of_sweep.maps[value][one])


@pytest.mark.parametrize("by", ["folder", "id"])
def test_the_same_is_said_later(swept: tuple[Path, str], tmp_path: Path, by: str) -> None:
    folder, _ = swept
    given = {
        "folder": [str(folder / "sweep")],
        "id": ["sweep", "--uri", f"sqlite:///{folder}/mlflow.db"],
    }[by]
    done = subprocess.run(
        [sys.executable, "-m", "genattr.analysis.sensitivity", *given, "--out", str(tmp_path)],
        cwd=REPO, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "LIME · mirror" in done.stdout
    table = pd.read_parquet(tmp_path / "sensitivity.parquet")
    original = pd.read_parquet(folder / "sweep" / "sensitivity.parquet")
    pd.testing.assert_frame_equal(table, original)


def test_a_sweep_that_is_not_there_is_told_in_one_line(swept: tuple[Path, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "genattr.analysis.sensitivity", "never", "--uri",
         f"sqlite:///{swept[0]}/mlflow.db"],
        cwd=REPO, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("genattr: never: no such folder, and sqlite:///")


def test_a_named_key_is_taken_where_two_known_ones_vary(
    tmp_path: Path, sweep_here: Callable[..., None]
) -> None:
    sweep_here(*LIME, "method.n_segments=6,12", "seed=0,1", "sensitivity=seed")
    (parent,) = of_kind(tmp_path, "sweep")
    groups = {name.split("/")[1] for name in parent.data.metrics if name.endswith("/ssim")}
    assert groups == {"LIME gray n_segments 6", "LIME gray n_segments 12"}
    members = of_kind(tmp_path, "member")
    assert len(members) == 4
    for member in members:  # the sweep compares, so its members explain each photo once
        assert member.data.metrics["photos"] == 2
        assert "sensitivity/ssim" not in member.data.metrics
        assert "sensitivity/ssim_to_others" in member.data.metrics
    assert len(list((tmp_path / "heatmaps").rglob("*.npz"))) == 8


def test_a_filler_that_follows_the_varied_key_sets_nothing_apart(
    tmp_path: Path, sweep_here: Callable[..., None]
) -> None:
    kinds = "segmentation@method.segmentation=slic,grid"
    judge = "filler@metric.deletion.filler=mean_segment"
    sweep_here(*LIME, "method.n_segments=6,12", "filler=mean_segment,gray", kinds, judge)
    table = pd.read_parquet(tmp_path / "sweep" / "sensitivity.parquet")
    assert table["over"].unique().tolist() == ["n_segments"]
    assert sorted(table["title"].unique()) == [
        f"LIME · {filler} · segmentation {kind}"
        for filler in ("gray", "mean_segment")
        for kind in ("grid", "slic")
    ]
    assert len(table) == 2 * 4


def test_members_that_compare_by_themselves_are_gathered(
    tmp_path: Path, sweep_here: Callable[..., None]
) -> None:
    sweep_here(*LIME, "filler=gray,mirror", "sensitivity=seed", "sensitivity.values=[0,1]")
    (parent,) = of_kind(tmp_path, "sweep")
    for member, filler in zip(of_kind(tmp_path, "member"), ("gray", "mirror"), strict=True):
        gathered = group_metrics(parent.data.metrics, f"LIME {filler}")
        assert gathered["sensitivity/ssim"] == member.data.metrics["sensitivity/ssim"]
    folder = tmp_path / "sweep"
    (first, *_) = grids = list(values.grids(finished(folder)))
    assert [grid.image_id.split(" ")[0] for grid in grids] == ["coffee", "camera"]
    assert {grid.title for grid in grids} == {f"Heatmaps of {g.image_id} over seed" for g in grids}
    assert [line.title for line in first.lines] == ["LIME · gray", "LIME · mirror"]
    similar = values.similarities(comparison.read(folder))
    for line, member in zip(first.lines, finished(folder), strict=True):
        own = next(member.heatmaps(set(member.photos))).to_image(member.size)
        assert np.array_equal(line.maps["0"][first.image_id], own)
        assert not np.array_equal(line.maps["1"][first.image_id], own)
        assert (line.title, first.image_id) in similar
    Image.open(values.draw(first, similar, tmp_path / "grid.png")).verify()
