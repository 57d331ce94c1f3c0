"""Whether a classifier can be differentiated is found out before a run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from genattr.errors import UserError
from genattr.run import experiment
from tests.contract.options import small
from tests.toys import ToyNetwork, color

HERE = "classifier.path=tests.classifier.test_gradient:"
CALLABLE = ["classifier=callable", "classifier.input_size=32", "target=predicted"]
CUT_OFF = "gives none: something inside cuts it off, such as torch.no_grad()"


@torch.no_grad()
def without_gradient(images: Tensor) -> Tensor:
    return color(images)


@torch.inference_mode()
def in_inference_mode(images: Tensor) -> Tensor:
    return color(images)


def detached(images: Tensor) -> Tensor:
    return color(images.detach())


def detached_behind_a_bias(images: Tensor) -> Tensor:
    return color(images.detach()) + nn.Parameter(torch.ones(3))


def by_numpy(images: Tensor) -> Tensor:
    return torch.from_numpy(images.numpy().mean(axis=(2, 3)))


def steps(images: Tensor) -> Tensor:
    return (color(images) * 1000).round()


def roots(images: Tensor) -> Tensor:
    return color(images) + (color(images) * 0).sqrt()


class Broken(nn.Module):
    """Overwrites what the gradient needs."""

    def forward(self, images: Tensor) -> Tensor:
        shares = color(images).exp()
        result = shares * 2
        shares += 1
        return result * shares.sigmoid()


class Own(torch.autograd.Function):
    """A layer whose author wrote no gradient."""

    @staticmethod
    def forward(_: object, images: Tensor) -> Tensor:
        return images.mean(dim=(2, 3))


def own_layer(images: Tensor) -> Tensor:
    return Own.apply(images)


def broken() -> nn.Module:
    return Broken()


FAULTS = {
    "without_gradient": CUT_OFF,
    "in_inference_mode": CUT_OFF,
    "detached": CUT_OFF,
    "detached_behind_a_bias": CUT_OFF,
    "by_numpy": r"fails when it is differentiated \(RuntimeError: Can't call numpy\(\) on Tensor",
    "steps": "gives zeros in all images that were tried",
    "roots": "gives NaN or infinity for noise",
    "broken": r"fails when it is differentiated \(RuntimeError: one of the variables needed",
    "own_layer": r"fails when it is differentiated \(NotImplementedError",
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_in_one_line_before_a_run(tmp_path: Path, name: str) -> None:
    cfg = small(tmp_path, *CALLABLE, f"{HERE}{name}", "method=mp2")
    with pytest.raises(UserError, match=f"and classifier {name} {FAULTS[name]}") as told:
        experiment.assemble(cfg)
    text = str(told.value)
    assert text.startswith("method MP2 needs the classifier's gradient")
    assert text.endswith(
        "try method=sp or lime, or a PyTorch network whose steps can be differentiated"
    )
    assert "\n" not in text


@pytest.mark.parametrize("method", ["mp", "mp-g", "mp2", "mp2-g", "fido-ca"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_no_method_that_needs_it_begins_without(
    tmp_path: Path, method: str, precision: str
) -> None:
    chosen = [f"{HERE}without_gradient", f"method={method}", f"precision={precision}"]
    with pytest.raises(UserError, match=CUT_OFF[:10]):
        experiment.assemble(small(tmp_path, *CALLABLE, *chosen))


@pytest.mark.parametrize("name", ["without_gradient", "by_numpy"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_other_methods_do_without(tmp_path: Path, name: str, precision: str) -> None:
    chosen = [f"{HERE}{name}", "method=sp", "metric=[deletion]", f"precision={precision}"]
    cfg = small(tmp_path, *CALLABLE, *chosen)
    assert experiment.run(cfg, tmp_path / "run").photos == 1


def test_a_torchscript_file_that_was_saved_without(tmp_path: Path) -> None:
    class Off(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = ToyNetwork()

        def forward(self, images: Tensor) -> Tensor:
            with torch.no_grad():
                return self.inside(images)

    torch.jit.script(Off().eval()).save(str(tmp_path / "net.pt"))
    chosen = [
        "classifier=torchscript",
        f"classifier.path={tmp_path}/net.pt",
        "method=mp2",
        "trust=true",
    ]
    with pytest.raises(UserError, match=CUT_OFF[:10]):
        experiment.assemble(small(tmp_path, "target=predicted", *chosen))


def test_a_classifier_is_differentiated_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = experiment.assemble(small(tmp_path, "classifier=timm", "method=mp2"))
    monkeypatch.setattr("genattr.classifier.trial._gradient", None)
    again = experiment.assemble(small(tmp_path, "classifier=timm", "method=fido-ca"))
    assert again.classifier is study.classifier
