"""MLflow and Hydra for real: a sweep of four members and a failing run, in subprocesses."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobReturn
from hydra.types import RunMode
from mlflow import MlflowClient
from mlflow.entities import Run
from omegaconf import OmegaConf
from PIL import Image

import genattr
from genattr.__main__ import main
from genattr.sweep import behind
from genattr.sweep.callback import SweepCallback
from genattr.tracking.base import without_password
from tests.conftest import REPO

SMALL = [
    "classifier=timm",
    "classifier.name=test_resnet",
    "classifier.pretrained=false",
    "target=predicted",
    "selection.limit=2",
    "metric=[deletion,saliency]",
    "threads=1",
]


def places(folder: Path, uri: str = "") -> list[str]:
    """Return the overrides that keep all results in ``folder``, but records where the URI says."""
    uri = uri or f"sqlite:///{folder}/mlflow.db"
    found = [f"tracking.uri={uri}", f"store={folder}/heatmaps"]
    return [*found, f"hydra.run.dir={folder}/single", f"hydra.sweep.dir={folder}/sweep"]


def command(folder: Path, *arguments: str, uri: str = "") -> subprocess.CompletedProcess[str]:
    """Run run.py with its results in ``folder``."""
    return subprocess.run(
        [sys.executable, "run.py", *arguments, *SMALL, *places(folder, uri)],
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def exit_code(monkeypatch: pytest.MonkeyPatch, *words: str) -> int | str | None:
    """Run run.py in this process; return the exit code, or the message."""
    monkeypatch.setattr(sys, "argv", ["run.py", *words])
    GlobalHydra.instance().clear()
    try:
        main()
    except SystemExit as stopped:
        return stopped.code
    return 0


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Four members: two methods by two fillers."""
    folder = tmp_path_factory.mktemp("swept")
    sizes = ["method.requires_inpainter=false", "protocol.stride=48", "protocol.n_samples=24"]
    done = command(folder, "-m", "method=sp,lime", "filler=gray,mirror", *sizes)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder, done.stdout


def runs(folder: Path) -> list[Run]:
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("genattr")
    return client.search_runs([experiment.experiment_id], order_by=["metrics.member ASC"])


def test_members_are_nested_under_one_parent_and_named_by_what_ran(swept: tuple[Path, str]) -> None:
    found = runs(swept[0])
    parents = [run for run in found if run.data.tags["kind"] == "sweep"]
    members = [run for run in found if run.data.tags["kind"] == "member"]
    assert [run.info.run_name for run in members] == [
        "SP · gray",
        "SP · mirror",
        "LIME · gray",
        "LIME · mirror",
    ]
    assert {run.data.tags["mlflow.parentRunId"] for run in members} == {parents[0].info.run_id}
    assert {run.info.status for run in found} == {"FINISHED"}
    assert [run.data.metrics["member"] for run in members] == [0, 1, 2, 3]


def test_a_run_logs_scores_files_and_pictures(swept: tuple[Path, str]) -> None:
    run = next(run for run in runs(swept[0]) if run.data.metrics.get("member") == 3)
    assert run.data.params["method"] == "LIME"
    assert run.data.params["n_samples"] == "24"
    assert len(run.data.params) <= 12
    scores = {"deletion/auc", "saliency/score"}
    assert set(run.data.metrics) == scores | {"member", "photos", "seconds_per_heatmap"}
    client = MlflowClient(f"sqlite:///{swept[0]}/mlflow.db")
    names = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {
        "config.yaml",
        "environment.json",
        "per_image.parquet",
        "heatmaps.npz",
        "contact_sheet.png",
        "comparison.json",
        "images",
    } <= names


def test_a_run_and_its_sweep_say_what_they_are(swept: tuple[Path, str]) -> None:
    found = runs(swept[0])
    (parent,) = [run for run in found if run.data.tags["kind"] == "sweep"]
    run = next(run for run in found if run.data.metrics.get("member") == 1)
    said, of_sweep = (one.data.tags["mlflow.note.content"] for one in (run, parent))
    assert said.startswith("**SP · mirror**  \ntest\\_resnet · patch\\_size 29 · stride 48")
    assert "| deletion ↓ |" in said
    assert f"`{swept[0]}/sweep/1/contact_sheet.png`" in said
    assert "Few photos: 2 photos decide nothing" in said
    assert "python run.py method=sp filler=mirror method.requires" in said
    assert "| SP · mirror |" in of_sweep
    assert "python run.py -m method=sp,lime filler=gray,mirror" in of_sweep


def test_the_link_opens_on_the_scores(swept: tuple[Path, str]) -> None:
    (link,) = re.findall(r"then open: .*viewStateShareKey=(\w+)", swept[1])
    client = MlflowClient(f"sqlite:///{swept[0]}/mlflow.db")
    tags = client.get_experiment_by_name("genattr").tags
    view = json.loads(tags[f"mlflow.sharedViewState.{link}"])
    assert view["selectedColumns"] == ["metrics.`deletion/auc`", "metrics.`saliency/score`"]
    assert view["orderByKey"] == "metrics.`member`"
    assert view["searchFilter"] == "tags.kind='member' and tags.sweep='sweep'"


def test_a_photo_and_its_heatmap_are_whole_in_the_ui(swept: tuple[Path, str]) -> None:
    run = next(run for run in runs(swept[0]) if run.data.metrics.get("member") == 0)
    client = MlflowClient(f"sqlite:///{swept[0]}/mlflow.db")
    here = Path(client.download_artifacts(run.info.run_id, "", str(swept[0])))
    table = json.loads((here / "comparison.json").read_text())
    shown = Image.open(here / table["data"][0][1]["compressed_filepath"]).convert("RGBA")
    opaque = np.asarray(shown)[:, :, 3]
    assert shown.width == shown.height
    assert opaque[: shown.height // 2].all()
    assert not opaque[shown.height // 2 :].any()
    whole = Image.open(here / table["data"][0][1]["filepath"])
    assert whole.size == (320, 160)


def test_heatmaps_come_back_by_run_id(swept: tuple[Path, str]) -> None:
    run = next(run for run in runs(swept[0]) if run.data.metrics.get("member") == 0)
    found = genattr.load(run.info.run_id, uri=f"sqlite:///{swept[0]}/mlflow.db")
    assert [heatmap.image_id for heatmap in found] == ["coffee", "camera"]


def test_a_sweeps_heatmaps_come_back_by_member(swept: tuple[Path, str], tmp_path: Path) -> None:
    found = genattr.load(swept[0] / "sweep")
    assert list(found) == ["SP · gray", "SP · mirror", "LIME · gray", "LIME · mirror"]
    assert [[heatmap.image_id for heatmap in maps] for maps in found.values()] == [
        ["coffee", "camera"]
    ] * 4
    with pytest.raises(genattr.UserError, match=r"no finished run in it"):
        genattr.load(tmp_path)


def test_a_sweep_ends_with_a_picture_and_where_to_look(swept: tuple[Path, str]) -> None:
    folder, printed = swept
    assert (folder / "sweep" / "comparison.png").stat().st_size > 10_000
    assert str(folder / "sweep" / "comparison.png") in printed
    assert f"mlflow ui --backend-store-uri sqlite:///{folder}/mlflow.db" in printed
    assert "tags.sweep%3D%27sweep%27" in printed
    assert "Fixed alpha:   saliency 0.5;" in printed


def test_members_that_differ_in_anything_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "private.txt").write_text("not a result")
    done = command(
        tmp_path, "-m", "method=random", "++seed=0,1", "selection.seed=3",
        "filler@metric.deletion.filler=gray,blur", "hydra.sweep.subdir=m/${hydra:job.num}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    for seed in (0, 1):
        for filler in ("gray", "blur"):
            assert f"seed {seed} · deletion.filler {filler}" in done.stdout
    members = [run for run in runs(tmp_path) if run.data.tags["kind"] == "member"]
    assert [run.data.metrics["sweep/seed"] for run in members] == [0, 0, 1, 1]
    swept = {key for run in members for key in run.data.metrics if key.startswith("sweep/")}
    assert swept == {"sweep/seed"}
    (parent,) = [run for run in runs(tmp_path) if run.data.tags["kind"] == "sweep"]
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    kept = [file.path for file in client.list_artifacts(parent.info.run_id)]
    assert kept == ["comparison.png", "sensitivity.parquet", "sensitivity.png"]


def test_a_run_keeps_no_password_and_no_file_but_its_own(tmp_path: Path) -> None:
    (tmp_path / "single").mkdir()
    (tmp_path / "single" / "private.txt").write_text("not a result")
    done = command(tmp_path, "method=center")
    assert done.returncode == 0, done.stderr[-2000:]
    (run,) = runs(tmp_path)
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    kept = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert "summary.json" in kept
    assert "private.txt" not in kept
    secret = "postgresql+psycopg2://u:secret@db.example:5432/runs?x=1"
    assert without_password(secret) == "postgresql+psycopg2://u:***@db.example:5432/runs?x=1"
    assert without_password("sqlite:////a b/x.db") == "sqlite:////a b/x.db"


def test_a_run_that_raises_is_failed_in_the_store(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"not a photo")
    done = command(tmp_path, "dataset=folder", f"dataset.root={photo}", "method=center")
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1] == "genattr: none of 1 photos could be read"
    (run,) = runs(tmp_path)
    assert run.info.status == "FAILED"
    assert "none of 1 photos" in run.data.tags["error"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["method=sp-g", "filler=gray"], "genattr: method SP-G needs a filler that inpaints"),
        (["method.stride=0"], "genattr: method.stride=0: must be at least 1"),
        (["methd=sp"], "methd"),
        (["method=spp"], "spp"),
    ],
)
def test_a_mistake_is_told_in_one_line_before_any_work(
    tmp_path: Path, arguments: list[str], told: str
) -> None:
    done = command(tmp_path, *arguments)
    assert done.returncode != 0
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "heatmaps").exists()
    assert not (tmp_path / "mlflow.db").exists()


def test_help_names_groups_and_keys() -> None:
    done = subprocess.run(
        [sys.executable, "run.py", "--help"], cwd=REPO, capture_output=True, text=True, check=True
    )
    for word in ("sp-g", "mirror", "selection", "python run.py"):
        assert word in done.stdout


def test_summaries_are_plain_json(swept: tuple[Path, str]) -> None:
    summary = json.loads((swept[0] / "sweep" / "1" / "summary.json").read_text())
    assert summary["title"] == "SP · mirror · test_resnet"
    assert summary["in_sweep"] == "SP · mirror"


def test_hydra_keeps_no_configuration_of_a_member_that_has_ended() -> None:
    for mode, kept in ((RunMode.MULTIRUN, None), (RunMode.RUN, OmegaConf.create({"seed": 1}))):
        done = JobReturn(cfg=OmegaConf.create({"seed": 1}))
        SweepCallback().on_job_end(OmegaConf.create({"hydra": {"mode": mode}}), done)
        assert done.cfg == kept


def test_a_stop_lets_what_is_left_of_a_member_end_first() -> None:
    ended = threading.Event()
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    behind.follow(lambda: ended.wait(0.5) or ended.set())
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            behind.wait()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert ended.is_set()
