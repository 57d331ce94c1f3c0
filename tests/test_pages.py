"""The pages that show how to use genattr, followed: their files written, their commands run.

In this process and with networks of random weights, which is what makes them affordable.
"""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

import pytest
import timm
import torch
from hydra.core.global_hydra import GlobalHydra
from torch import nn
from torchvision.models import shufflenet_v2_x0_5

from genattr.__main__ import main
from tests.conftest import REPO, photo_file
from tests.test_bad_input import ONE_LINE
from tests.test_docs import commands, files

DOCS = REPO / "docs"
MODELS = sorted(path.name for path in (DOCS / "models").glob("*.md"))
EXTRAS = {"onnx.md": ("onnxruntime", "onnxscript"), "huggingface.md": ("transformers",)}
CHEAP = ["store=heatmaps", "tracking=none", "threads=1", "protocol.stride=96", "engine=dense"]
TINY = ["classifier=timm", "classifier.name=test_resnet", "classifier.pretrained=false"]


def save_weights(network: nn.Module) -> None:
    """Write random weights, with a bias by which the outputs are logits and no probabilities."""
    network.fc.bias.data = torch.tensor([-2.0, 0.0, 2.0])
    torch.save(network.state_dict(), "best.pth")


def of_torchvision() -> None:
    save_weights(shufflenet_v2_x0_5(num_classes=3))


def of_timm() -> None:
    save_weights(timm.create_model("test_resnet", num_classes=3))


# What a page assumes, and what stands for a download.
PROLOGUES: dict[str, tuple[Callable[[], None], list[str]]] = {
    "torchvision.md": (of_torchvision, ["classifier.weights=null"]),
    "torchscript.md": (of_torchvision, []),
    "onnx.md": (of_torchvision, []),
    "timm.md": (of_timm, ["classifier.pretrained=false"]),
}


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str, list[str]], str]:
    """Run a command in this process, with few windows; return what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    photo_file(tmp_path / "photos" / "a.png")
    (tmp_path / "classes.txt").write_text("bird\ncat\ndog\n")

    def command(line: str, extra: list[str]) -> str:
        program, *typed = shlex.split(line)
        assert program == "genattr"
        small = [word.replace("stride=8", "stride=80") for word in typed]
        places = [f"hydra.{kind}.dir={mkdtemp(dir=tmp_path)}" for kind in ("run", "sweep")]
        monkeypatch.setattr(sys, "argv", [program, *small, *places, *CHEAP, *extra])
        GlobalHydra.instance().clear()
        main()
        return capsys.readouterr().out

    return command


@pytest.mark.parametrize("page", MODELS)
def test_a_page_about_a_model_works(
    page: str, run: Callable[[str, list[str]], str], tmp_path: Path
) -> None:
    for package in EXTRAS.get(page, ()):
        pytest.importorskip(package)
    prologue, extra = PROLOGUES.get(page, (lambda: None, []))
    prologue()
    for name, text in files(f"../models/{page}").items():
        (tmp_path / name).write_text(text)
        runpy.run_path(str(tmp_path / name))
    for line in commands(f"../models/{page}"):
        assert "contact_sheet.png" in run(line, [*extra, "metric=[]"])


@pytest.mark.slow
@pytest.mark.parametrize("page", ["../start.md", "compare-fillers.md", "sweep.md"])
def test_a_page_about_use_works(page: str, run: Callable[[str, list[str]], str]) -> None:
    lines = [line for line in commands(page) if line.startswith("genattr ")]
    assert lines
    for line in lines:
        assert "photos" in run(line, [*TINY, "selection.limit=1"])


def quoted() -> list[str]:
    """Return the lines that the page about errors quotes."""
    text = (DOCS / "reference" / "errors.md").read_text()
    return re.findall(r"^\| `([^`]+)`", text, re.M)


@pytest.mark.parametrize("line", quoted())
def test_a_line_of_the_page_about_errors_is_told(line: str) -> None:
    """Each is one of those that test_bad_input has seen, but for the names of files."""
    told = [mistake.told for mistake in ONE_LINE.values()]
    known = [re.escape(text).replace(r"\{here\}", ".*") for text in told]
    assert any(re.search(text, line) for text in known) or any(line in text for text in told)
