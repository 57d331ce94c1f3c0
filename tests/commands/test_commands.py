"""The commands beside running, in this process; what Hydra starts is in ``test_jobs``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import genattr
from genattr import commands, config
from genattr.__main__ import main
from genattr.assets.download import RemoteFile
from genattr.commands import catalog, doctor

Said = Callable[..., str]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Run genattr with some words; return what it prints, or the message that it ends with."""

    def run(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["genattr", *words])
        try:
            main()
        except SystemExit as stopped:
            if isinstance(stopped.code, str):
                return stopped.code
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_the_version_is_genattrs(said: Said, flag: str) -> None:
    assert said(flag).startswith(f"genattr {genattr.__version__} (Python 3.")


@pytest.mark.parametrize("flag", ["--help", "help"])
def test_help_names_commands_and_options_on_one_screen(said: Said, flag: str) -> None:
    lines = said(flag).splitlines()
    assert len(lines) < 45
    for name, entry in commands.COMMANDS.items():
        assert f"  {name:9}{entry.sentence}" in lines
    assert any(line.startswith("filler: blur, callable") for line in lines)


def test_a_word_that_is_no_command_is_told(said: Said) -> None:
    assert said("docter") == (
        "genattr: docter: no such command; did you mean doctor? Settings are written key=value"
    )
    assert said("method=sp", "doctor").startswith("genattr: doctor: a command comes first, and its")
    assert said("everything").startswith("genattr: everything: no such command; there is doctor, ")


def test_every_option_has_a_sentence() -> None:
    found = catalog.options(catalog.folders(None))
    assert {"classifier", "filler", "method", "metric", "experiment"} <= set(found)
    for option in (one for options in found.values() for one in options):
        assert len(option.sentence) > 10, option
        assert "\n" not in option.sentence


def test_what_options_need_is_told(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "installed", lambda package: None)
    told = " ".join(said("list", "classifier", "filler", "segmentation").split())
    for words in (
        "onnx A network in an ONNX file, without gradient: classifier=onnx "
        "classifier.path=net.onnx [pip install 'genattr[onnx]'; classifier.path=...]",
        "deepfill The paper's inpainter, DeepFill-v1 [fetches weights at first use]",
        "filler.name=...; fetches weights at first use; slow without a GPU]",
        "gray The ImageNet mean, which looks gray, for any classifier (the paper's section 3.3) l",
        "lightfill The network that comes along; its weights are CC BY-NC 4.0, not for commercial",
    ):
        assert words in told


def test_options_of_ones_own_are_listed(said: Said, tmp_path: Path) -> None:
    (tmp_path / "filler").mkdir()
    (tmp_path / "filler" / "mine.yaml").write_text("# A hole in the sky. And more.\ncolor: 3\n")
    assert "  mine           A hole in the sky\n" in said(
        "list", "filler", "--config-dir", str(tmp_path)
    )
    assert said("list", "fillr").startswith("genattr: fillr: no such group; there is classifier, ")


def test_what_fetches_says_which_files() -> None:
    """``fetches`` and ``assets`` are two attributes of a class, and say the same."""
    found = catalog.options(catalog.folders(None))
    options = [one for group in doctor.GROUPS for one in found[group]]
    fetching = {f"{one.group}={one.name}" for one in options if one._said("fetches", False)}
    with_assets = {f"{one.group}={one.name}" for one in options if one.has_assets}
    assert fetching - with_assets == {"filler=diffusers"}  # which model is not known beforehand
    assert with_assets - fetching == {
        *(f"classifier=efficientnet_lite{size}" for size in range(3)), "filler=lightfill",
    }  # fmt: skip


def test_the_doctor_finds_what_is_cached_damaged_or_missing(
    said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENATTR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(doctor, "GROUPS", ("filler",))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "big-lama.pt").write_text("no network")
    told = said("doctor")
    lines = {line.split()[1]: line for line in told.splitlines() if line.startswith("  ")}
    assert "is not the expected file: sha256" in lines["filler=lama"]
    assert lines["filler=lama"].split()[0] == "BROKEN"
    assert "would be fetched from https://raw.githubusercontent.com/" in lines["filler=deepfill"]
    assert "(CC BY-NC 4.0)" in lines["filler=deepfill"]
    assert "lightfill.safetensors (CC-BY-NC-4.0), hash checked" in lines["filler=lightfill"]
    assert lines["torch"].split()[0] == "ok"
    assert f"the first run makes {tmp_path}/mlflow.db" in lines["tracking"]
    assert not (tmp_path / "mlflow.db").exists()
    assert "\x1b" not in told


def test_the_doctor_ends_with_1_if_something_is_broken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "GROUPS", ())
    doctor.main([])
    monkeypatch.setattr(doctor, "PACKAGES", ("no-such-package",))
    with pytest.raises(SystemExit) as stopped:
        doctor.main([])
    assert stopped.value.code == 1
    assert "BROKEN  no-such-package" in capsys.readouterr().out


def test_a_file_of_the_cache_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENATTR_CACHE", str(tmp_path))
    (tmp_path / "net.pt").write_bytes(b"weights")
    digest = "9d3a0d96b1b4b9a1"
    found = doctor._found("filler=x", RemoteFile("https://a.b/net.pt", digest, "MIT", 10))
    assert (found.state, found.name) == (doctor.BROKEN, "filler=x")


def test_results_go_beside_run_py_or_into_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = config.PACKAGE.parent
    monkeypatch.chdir(tmp_path)
    for started, home in (
        (str(checkout / "run.py"), checkout),
        ("/usr/bin/genattr", tmp_path),
        (str(config.PACKAGE / "__main__.py"), tmp_path),
        (str(tmp_path / "run.py"), tmp_path),
    ):
        monkeypatch.setattr(sys, "argv", [started])
        assert config.home() == home


def test_nothing_is_made_where_a_run_is_not_found(
    said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in ("report", "compare"):
        assert said(command, "never").startswith("genattr: never: no such folder, and sqlite:")
    assert not list(tmp_path.iterdir())


def test_runs_are_compared_photo_by_photo(
    said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["classifier=timm", "classifier.name=test_resnet", "classifier.pretrained=false"]
    words += [
        "metric=[deletion]",
        "metric.deletion.pixels_per_step=1000",
        "selection.limit=3",
        "tracking=none",
    ]
    for method in ("center", "random"):
        said(*words, f"method={method}", "threads=1", f"hydra.run.dir={method}")
    told = said("compare", "center", "random")
    table = pd.read_csv(tmp_path / "comparison" / "differences.csv")
    scores = [
        pd.read_parquet(tmp_path / method / "per_image.parquet")["deletion/auc"].to_numpy()
        for method in ("random", "center")
    ]
    assert table["mean"].tolist() == pytest.approx([(scores[0] - scores[1]).mean()])
    assert table["n"].tolist() == [3]
    assert table["wins"].tolist() == pytest.approx([(scores[0] < scores[1]).mean()])
    assert "random · gray − center · gray" in told
    assert (tmp_path / "comparison" / "comparison.png").is_file()
    assert "3 decide little" in told
