"""Checkpoint files: which are read, and what is said of those that do not fit."""

from __future__ import annotations

import pickle
import types
import warnings
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from genattr.assets import weights
from genattr.assets.weights import load_into, load_state_dict
from genattr.errors import UserError
from tests.toys import ToyNetwork, torchscript_file


class Python2Pickler(pickle._Pickler):
    """Writes text as Python 2 did."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_str(self, text: str) -> None:
        self.write(b"U" + bytes([len(text)]) + text.encode())
        self.memoize(text)

    dispatch[str] = save_str


def dump_as_python_2(content: object, file: object, protocol: int = 2) -> None:
    Python2Pickler(file, 2).dump(content)


PYTHON_2 = types.SimpleNamespace(Pickler=Python2Pickler, dump=dump_as_python_2, __name__="pickle")
STATE = ToyNetwork().state_dict()
OLD = {name: value for name, value in STATE.items() if "num_batches" not in name}
MODULE = {f"module.{name}": value for name, value in STATE.items()}


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        OLD,
        MODULE,
        {"state_dict": STATE, "epoch": 3},
        {"epoch": 90, "arch": "toy", "state_dict": MODULE, "best_prec1": 54.6},
    ],
    ids=["plain", "before-counters", "parallel", "training", "places"],
)
@pytest.mark.parametrize("kind", ["zip", "legacy", "python2"])
def test_each_kind_of_checkpoint_gives_the_weights(
    tmp_path: Path, content: dict[str, object], kind: str
) -> None:
    file = tmp_path / "net.pth.tar"
    options = {"pickle_module": PYTHON_2} if kind == "python2" else {}
    torch.save(content, file, _use_new_zipfile_serialization=kind == "zip", **options)
    network = ToyNetwork()
    for parameter in network.parameters():
        parameter.data.zero_()
    load_into(network, file, "toy")
    assert all(torch.equal(value, STATE[name]) for name, value in network.state_dict().items())


def test_python_2_is_imitated_well(tmp_path: Path) -> None:
    file = tmp_path / "net.pth"
    torch.save({"epoch": 1}, file, pickle_module=PYTHON_2, _use_new_zipfile_serialization=False)
    assert b"U\x05epoch" in file.read_bytes()


def test_safetensors(tmp_path: Path) -> None:
    save_file({"a": torch.arange(3)}, tmp_path / "net.safetensors")
    assert load_state_dict(tmp_path / "net.safetensors")["a"].tolist() == [0, 1, 2]


class Harmful:
    """Runs something when it is unpickled carelessly."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("harm"),)


@pytest.mark.parametrize(
    ("content", "suffix"),
    [
        ({"state_dict": {"a": 3}}, "pth"),
        ({"a": Harmful()}, "pth"),
        (ToyNetwork(), "pth"),
        ({}, "pth"),
        (b"<html>no such page</html>", "pth"),
        (b"<html>no such page</html>", "safetensors"),
    ],
    ids=["number", "harmful", "module", "empty", "html", "html-safetensors"],
)
def test_what_is_no_plain_checkpoint_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object, suffix: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / f"net.{suffix}"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    with pytest.raises(UserError, match=f"{file} is not a checkpoint of plain tensors") as caught:
        load_state_dict(file)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "harm").exists()


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"no checkpoint at {tmp_path}/net.pth"):
        load_state_dict(tmp_path / "net.pth")


LACKING = "it lacks layers.0.weight, layers.0.bias, layers.1.weight and 5 more"


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (ToyNetwork(12), "its layers.5.weight is 12 x 16, not 10 x 16"),
        (nn.Linear(2, 2), LACKING + "; it also has weight, bias"),
        (nn.Sequential(ToyNetwork()), LACKING + "; it also has 0."),
    ],
)
def test_another_architectures_checkpoint_is_told_in_one_line(
    tmp_path: Path, other: nn.Module, told: str
) -> None:
    file = tmp_path / "net.pth"
    torch.save(other.state_dict(), file)
    with pytest.raises(UserError) as caught:
        load_into(ToyNetwork(), file, "toy")
    assert str(caught.value).startswith(f"{file} does not fit toy: {told}")
    assert "\n" not in str(caught.value)


def test_torchscript_files_are_read_without_a_warning(tmp_path: Path) -> None:
    file = torchscript_file(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weights.torchscript(file, "classifier.path=net.pt", trust=True)
