"""The benchmarks run, small, and end in one JSON object."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image

from tests import toys
from tests.conftest import REPO

SCRIPTS = sorted(path.stem for path in (REPO / "benchmarks").glob("[!_]*.py"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_can_be_imported(script: str) -> None:
    import_module(f"benchmarks.{script}")


def printed(*arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=REPO, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()


@pytest.mark.slow
def test_times_of_fillers() -> None:
    output = printed("benchmarks.fillers", "gray", "telea filler.radius=2", "--calls", "1")
    times = json.loads(output[-1])["milliseconds"]
    assert {"gray", "telea filler.radius=2"} <= set(times)
    kinds = [f"{kind} x {rows}" for kind in ("29", "53", "superpixels") for rows in (1, 32)]
    assert list(times["gray"]) == kinds
    assert all(value > 0 for value in times["gray"].values())


@pytest.mark.slow
def test_a_large_store(tmp_path: Path) -> None:
    few = ("--heatmaps", "1200", "--folder", str(tmp_path))
    found = json.loads(printed("benchmarks.large_store", *few)[-1])
    assert found["look-ups"]["calls"] == {"open": 1200, "os.listdir": 0, "os.scandir": 0}
    assert found["prune"]["told"].startswith("12 files in")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_what_grows() -> None:
    found = json.loads(printed("benchmarks.soak", "--photos", "6", "--members", "2")[-1])
    for kind, count in {"photos": 6, "members": 2}.items():
        assert [one["done"] for one in found[kind]["series"]] == list(range(1, count + 1))
        assert found[kind]["series"][-1]["memory"] > 10_000_000
        assert found[kind]["growth"]["store"] > 0


@pytest.mark.slow
def test_the_cost_of_context(tmp_path: Path) -> None:
    rim = f"torchscript filler.path={toys.torchscript_file(tmp_path, toys.Rim())} trust=true"
    small = ("--contexts", "0,224", "--photos", "2", "--rounds", "1", "--stride", "65")
    found = json.loads(printed("benchmarks.context", rim, *small)[-1])
    assert (found["0"]["window"], found["full"]["window"]) == (32, 224)
    assert found["224"]["moves"] == found["224"]["moves beyond"] == 0 < found["0"]["moves"]
    assert found["224"]["spearman"] == pytest.approx(1) != found["0"]["spearman"]


@pytest.mark.slow
def test_selectivity() -> None:
    few = (
        "--photos",
        "2",
        "--holes",
        "1",
        "--background",
        "0",
        "--classifiers",
        "efficientnet_lite0",
    )
    output = printed("benchmarks.selectivity", *few, "--fillers", "gray", "lightfill")
    found = json.loads(output[-1])["efficientnet_lite0"]
    assert list(found) == ["gray", "lightfill"]
    for one in found.values():
        assert one["photos"] == 2
        assert 0 <= one["object"] < one["background"]
        assert one["gap"] == pytest.approx(one["background"] - one["object"], abs=2e-4)
        assert one["gap low"] <= one["gap"] <= one["gap high"]


@pytest.mark.slow
def test_mp2s_ranking_on_the_photos_for_choices(imagenet_val_300: Path, tmp_path: Path) -> None:
    few = ("--photos", "2", "--tie-seeds", "1", "method.max_steps=2", f"store={tmp_path}")
    part = ("--root", str(imagenet_val_300), "--part", "choices", "--compare", "lightfill")
    found = json.loads(printed("benchmarks.mp2_choices", *part, *few)[-1])
    assert found["photos"] == 2
    kinds = ["blur ranks, order", "un-pasted output ranks, order", "image gradient ranks, order"]
    assert list(found["means"]) == kinds
    areas = [one["area"]["mean"] for one in found["means"].values()]
    assert areas == pytest.approx([4 / 28**2] * 3)
    assert found["differences"]["image gradient minus blur"]["area"]["mean"] == 0


@pytest.mark.slow
def test_the_picture(tmp_path: Path) -> None:
    printed("benchmarks.filler_picture", str(tmp_path / "fillers.jpg"), "gray")
    width, height = Image.open(tmp_path / "fillers.jpg").size
    assert height > 8 * width


@pytest.mark.slow
def test_windows_run_incrementally_and_agree_with_captum() -> None:
    few = ("--jobs", "lite0 gray", "--rounds", "1", "--stride", "15")
    job = json.loads(printed("benchmarks.occlusion", *few)[-1])["lite0 gray"]
    assert job["engine"] == "incremental"
    assert job["windows"] == 14 * 14
    assert set(job["largest_difference"]) == {"dense", "captum"}
    assert min(job["cpu_s"].values()) > 0


@pytest.mark.slow
def test_the_library_agrees_with_captum_and_takes_no_longer() -> None:
    short = ("--short", "--models", "lite0")
    job = json.loads(printed("benchmarks.library", *short)[-1])["lite0"]
    assert job["windows"] == 14 * 14
    assert min(job["vs_captum"].values()) > 1


@pytest.mark.slow
def test_lime_agrees_with_the_package() -> None:
    few = ("--rounds", "1", "--samples", "64", "--photos", "1")
    found = json.loads(printed("benchmarks.lime", *few)[-1])
    assert found["largest_difference"] < 1e-5
    assert found["vs_lime"] > 0


@pytest.mark.slow
def test_deletion_agrees_with_rises_loop() -> None:
    found = json.loads(printed("benchmarks.deletion", "--rounds", "1", "--photos", "1")[-1])
    assert found["largest_difference"] < 1e-5
    assert found["vs_rise"] > 0


@pytest.mark.slow
def test_memory_of_two_runs() -> None:
    found = json.loads(printed("benchmarks.memory", "sp", "--photos", "1", "2")[-1])
    few, many = found["methods"]["sp"]["MB"]
    assert many < 1.1 * few
    assert many < 3000


@pytest.mark.slow
def test_fewer_bits_and_a_second_start(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    few = ("--photos", "1", "--rounds", "1", "--fewer", "tf32", "fp16", "--methods", "sp")
    command = ("benchmarks.precision", *few, "--metrics", "deletion", "--rows", str(rows))
    found = json.loads(printed(*command)[-1])
    assert found["photos"] == 1
    moved = found["methods"]["sp"]
    assert moved["tf32"]["spearman"] == 1 >= moved["fp16"]["spearman"] > 0.9
    assert found["largest_difference"]["tf32"] == 0 < found["largest_difference"]["fp16"] < 0.05
    assert moved["tf32"]["deletion/auc"]["moved"] == 0
    before = rows.read_text()
    rows.write_text(before + before[:20])
    again = json.loads(printed(*command)[-1])
    assert again["methods"] == found["methods"]


@pytest.mark.slow
def test_which_models_run_incrementally() -> None:
    output = printed("benchmarks.engine_models", "torchvision:resnet18", "torchvision:vit_b_16")
    assert json.loads(output[-1]) == ["torchvision:resnet18"]
    assert "not local" in output[1]
