"""A wheel away from the checkout: configuration inside, results in the caller's folder."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import pandas as pd
import pytest
from mlflow import MlflowClient
from PIL import Image

import genattr
from tests.conftest import REPO
from tests.wheels import Installed, install

CENTER = ["method=center", "selection.limit=1", "metric=[deletion]", "threads=1"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_the_package_and_the_configuration_and_nothing_else(
    installed: Installed,
) -> None:
    names = set(ZipFile(installed.wheel).namelist())
    package = {name for name in names if ".dist-info/" not in name}
    code = {f"genattr/{p.relative_to(REPO / 'genattr')}" for p in files(REPO / "genattr")}
    conf = {f"genattr/conf/{p.relative_to(REPO / 'conf')}" for p in files(REPO / "conf")}
    assert package == code | conf
    assert "genattr/filler/_lightfill/lightfill.safetensors" in package
    others = {name.rpartition("/")[2] for name in names - package}
    assert others >= {"LICENSE", "LICENSE-weights", "entry_points.txt"}


def test_the_wheel_tells_both_licenses(installed: Installed) -> None:
    with ZipFile(installed.wheel) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
        told = wheel.read(name).decode()
    assert "License-Expression: MIT AND CC-BY-NC-4.0\n" in told
    assert "License-File: LICENSE-weights\n" in told


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]


def test_it_is_the_installed_package_that_runs(installed: Installed, tmp_path: Path) -> None:
    done = installed.run(
        "python", "-c", "from genattr import config; print(config.folder())", cwd=tmp_path
    )
    assert done.stdout.strip().endswith("site-packages/genattr/conf")
    assert str(installed.scripts.parent) in done.stdout


def test_results_stay_in_the_callers_folder(installed: Installed, tmp_path: Path) -> None:
    done = installed.run("genattr", *CENTER, "tracking=none", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert {path.name for path in tmp_path.iterdir()} == {"outputs", "heatmaps"}
    (run,) = (tmp_path / "outputs").iterdir()
    assert f"Picture:       {run}/contact_sheet.png" in done.stdout
    Image.open(run / "contact_sheet.png").verify()
    assert pd.read_parquet(run / "per_image.parquet")["image_id"].tolist() == ["coffee"]
    (heatmap,) = genattr.load(run)
    y, x = divmod(int(heatmap.values.argmax()), 224)
    assert {y, x} <= {111, 112}


@pytest.mark.parametrize("program", [["genattr"], ["python", "-m", "genattr"]])
def test_help_calls_the_program_by_its_name(
    installed: Installed, tmp_path: Path, program: list[str]
) -> None:
    done = installed.run(*program, "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{' '.join(program)} method=sp-g\n" in done.stdout
    assert "run.py method" not in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_mistake_is_told_in_one_line(installed: Installed, tmp_path: Path) -> None:
    done = installed.run("genattr", "method.stride=0", "tracking=none", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip() == "genattr: method.stride=0: must be at least 1"


def test_bash_completes_options(installed: Installed, tmp_path: Path) -> None:
    script = """eval "$(genattr -sc install=bash)"
        COMP_LINE="genattr -m method=s" COMP_CWORD=2
        hydra_bash_completion; echo "${COMPREPLY[@]}" """
    assert installed.shell(script, cwd=tmp_path).stdout.split() == ["method=sp", "method=sp-g"]


@pytest.mark.slow
def test_a_sweep_is_one_parent_with_its_members(installed: Installed, tmp_path: Path) -> None:
    done = installed.run("genattr", "-m", *CENTER, "seed=3,4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert {path.name for path in tmp_path.iterdir()} >= {"mlflow.db", "multirun", "heatmaps"}
    (sweep,) = (tmp_path / "multirun").iterdir()
    assert (sweep / "comparison.png").is_file()
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("genattr")
    found = client.search_runs([experiment.experiment_id], order_by=["metrics.member ASC"])
    by_kind = {
        kind: [r for r in found if r.data.tags["kind"] == kind] for kind in ("sweep", "member")
    }
    (parent,) = by_kind["sweep"]
    assert [run.data.params["seed"] for run in by_kind["member"]] == ["3", "4"]
    for run in by_kind["member"]:
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert "contact_sheet.png" in {file.path for file in client.list_artifacts(run.info.run_id)}


@pytest.mark.slow
def test_a_sweep_by_experiment_from_a_folder_of_ones_own(
    installed: Installed, tmp_path: Path
) -> None:
    own = tmp_path / "conf" / "experiment"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text(
        "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n"
        "      method: center,full\n"
    )
    arguments = ["--config-dir", "conf", "experiment=mine", *CENTER[1:], "tracking=none"]
    done = installed.run("genattr", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    (sweep,) = (tmp_path / "multirun").iterdir()
    heatmaps = [genattr.load(sweep / member)[0] for member in ("0", "1")]
    assert heatmaps[0].values.std() > 0
    assert (heatmaps[1].values == 1).all()
