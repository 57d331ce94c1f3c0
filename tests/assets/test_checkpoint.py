"""Files as training scripts leave them: the network's weights are found, no code is run."""

from __future__ import annotations

import argparse
import datetime
import logging
import pathlib
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import swa_utils

from genattr.assets.weights import classes_of, load_into, load_state_dict, state_for
from genattr.errors import UserError
from tests.toys import ToyNetwork

NETWORK = ToyNetwork()
STATE = NETWORK.state_dict()
OTHER = {name: value + 1 for name, value in STATE.items()}
OPTIMIZER = torch.optim.AdamW(NETWORK.parameters(), lr=0.1).state_dict()


def under(prefix: str, state: Mapping[str, Tensor] = STATE) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in state.items()}


def inside(part: str) -> dict[str, Tensor]:
    return {name.removeprefix(part): value for name, value in STATE.items()}


def averaged() -> Mapping[str, Tensor]:
    """Return what PyTorch's own average over a training leaves."""
    return swa_utils.AveragedModel(NETWORK).state_dict()


def parallel_and_compiled() -> Mapping[str, Tensor]:
    """Return what PyTorch's own wrappers leave."""
    return torch.compile(nn.DataParallel(NETWORK)).state_dict()


LIGHTNING = {
    "epoch": 3,
    "pytorch-lightning_version": "2.5.0",
    "state_dict": under("net.")
    | {"criterion.weight": torch.ones(3), "train_acc.tp": torch.ones(1)},
    "optimizer_states": [OPTIMIZER],
    "hyper_parameters": {"lr": 0.1, "args": argparse.Namespace(layers=[3, 4])},
}
BESIDE = {
    "args": argparse.Namespace(output=pathlib.Path("out"), size=(3, 4)),
    "path": pathlib.PureWindowsPath("c:/out"),
    "best": np.float64(0.5),
    "losses": np.arange(3),
    "names": np.array(["a", "b"]),
    "random": np.random.RandomState(0).get_state(),
    "when": datetime.datetime(2026, 1, 1, 12, 0),
    "history": defaultdict(list, {"loss": [1.0, 0.5]}),
    "torch": torch.__version__,
    "kinds": {int, str, float},
}
LEFT = {
    **{
        name: {name: STATE, "epoch": 3, "optimizer": OPTIMIZER}
        for name in ("model", "model_state_dict", "state_dict", "net", "network", "ema")
    },
    **{
        name: {name: STATE}
        for name in ("model_ema", "state_dict_ema", "params", "params_ema", "G")
    },
    "a name of one's own": {"best_weights": STATE, "epoch": 3},
    "nested": {"model": {"state_dict": under("module.")}, "epoch": 3},
    **{
        prefix: under(prefix)
        for prefix in (
            *("module.", "model.", "_orig_mod.", "net.", "backbone.", "network."),
            *("_orig_mod.module.", "module._orig_mod.", "model.module.net.", "model._orig_mod."),
        )
    },
    "a compiled part": under("layers._orig_mod.", inside("layers.")),
    "lightning": LIGHTNING,
    "beside": {"model": STATE, **BESIDE},
    "counted": {**STATE, "epoch": 3},
    "the same average": {"model": STATE, "model_ema": under("module.")},
    "plain and average": {"state_dict_ema": OTHER, "state_dict": STATE},
    "plain and average by prefix": {"state_dict": under("ema_model.", OTHER) | under("model.")},
    "average inside": STATE | under("ema.", OTHER),
}  # fmt: skip


def loaded(file: Path) -> Mapping[str, Tensor]:
    network = ToyNetwork()
    for parameter in network.parameters():
        parameter.data.zero_()
    load_into(network, file, "toy")
    return network.state_dict()


def equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(one[name], value) for name, value in other.items())


@pytest.mark.parametrize("kind", LEFT)
@pytest.mark.parametrize("zipped", [True, False])
def test_the_weights_are_found(tmp_path: Path, kind: str, zipped: bool) -> None:
    file = tmp_path / "net.ckpt"
    torch.save(LEFT[kind], file, _use_new_zipfile_serialization=zipped)
    assert equal(loaded(file), STATE)


@pytest.mark.parametrize("state", [averaged, parallel_and_compiled])
def test_what_pytorchs_own_wrappers_leave(
    tmp_path: Path, state: Callable[[], Mapping[str, Tensor]]
) -> None:
    torch.save({"model": state(), "optimizer": OPTIMIZER}, tmp_path / "net.pth")
    assert equal(loaded(tmp_path / "net.pth"), STATE)
    assert any(name.startswith(("module.", "_orig_mod.")) for name in state())


@pytest.mark.parametrize("prefix", ["", "module.", "model.backbone."])
def test_safetensors_have_the_same_prefixes(tmp_path: Path, prefix: str) -> None:
    others = {"criterion.weight": torch.ones(2)} if prefix else {}
    save_file(under(prefix) | others, tmp_path / "net.safetensors")
    assert equal(loaded(tmp_path / "net.safetensors"), STATE)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions_are_computed_in_single(tmp_path: Path, dtype: torch.dtype) -> None:
    reduced = {name: value.to(dtype) for name, value in STATE.items()}
    torch.save({"model": reduced}, tmp_path / "net.pth")
    found = loaded(tmp_path / "net.pth")
    assert found["layers.0.weight"].dtype == torch.float32
    assert equal(found, {name: reduced[name].to(value.dtype) for name, value in found.items()})


def test_of_two_the_plain_weights_are_taken_and_the_averages_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "net.pth"
    torch.save({"model_ema": under("module.", OTHER), "model": STATE}, file)
    with caplog.at_level(logging.INFO, "genattr"):
        assert equal(state_for(NETWORK, file, None, "classifier.checkpoint_entry"), STATE)
    told = "the plain weights are taken, not the averages in model_ema.module"
    assert f"{told}; classifier.checkpoint_entry=model_ema.module takes them" in caplog.text
    for entry in ("model_ema", "model_ema.module"):
        assert equal(state_for(NETWORK, file, entry), OTHER)


def test_of_an_average_alone_nothing_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.save({"model_ema": STATE}, tmp_path / "net.pth")
    with caplog.at_level(logging.INFO, "genattr"):
        loaded(tmp_path / "net.pth")
    assert not caplog.text


def test_of_several_networks_one_must_be_named(tmp_path: Path) -> None:
    file = tmp_path / "net.pth"
    torch.save({"student": STATE, "teacher": under("module.", OTHER)}, file)
    with pytest.raises(UserError) as caught:
        state_for(NETWORK, file, None, "classifier.checkpoint_entry")
    assert str(caught.value) == (
        f"{file} has several such networks, student, teacher.module: choose one by "
        "classifier.checkpoint_entry="
    )
    assert equal(state_for(NETWORK, file, "student"), STATE)
    assert equal(state_for(NETWORK, file, "teacher"), OTHER)
    with pytest.raises(UserError, match=r"^k=t: .*net\.pth has no such weights; it has student, "):
        state_for(NETWORK, file, "t", "k")


def test_a_network_of_other_classes_does_not_make_two(tmp_path: Path) -> None:
    file = tmp_path / "net.pth"
    torch.save({"student": STATE, "teacher": ToyNetwork(12).state_dict()}, file)
    assert equal(loaded(file), STATE)


class Setting:
    """A class of a training script."""


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            {"model": STATE, "best": Setting()},
            "it holds tests.assets.test_checkpoint.Setting, which",
        ),
        ({"model": STATE, "best": print}, "it holds builtins.print, which is not unpickled; save"),
        (NETWORK, "it is a whole network with its code, which is not run; save the weights alone,"),
        ({"model": NETWORK, "epoch": 3}, "it is a whole network with its code, which is not run;"),
    ],
)
def test_what_would_run_code_is_refused_with_the_way_out(
    tmp_path: Path, content: object, told: str
) -> None:
    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(UserError) as caught:
        loaded(tmp_path / "net.pth")
    assert str(caught.value).startswith(
        f"{tmp_path}/net.pth is not a checkpoint of plain tensors: {told}"
    )
    assert str(caught.value).endswith("torch.save(network.state_dict(), 'weights.pth')")
    assert "\n" not in str(caught.value)


def test_other_formats_are_told_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "net.pth"
    torch.save(STATE, file, pickle_protocol=4)
    with pytest.raises(UserError, match=r"it is not as torch\.save writes files by itself; save"):
        loaded(file)
    torch.jit.save(torch.jit.script(NETWORK), file)
    with pytest.raises(UserError, match="it is a TorchScript file, which the option torchscript"):
        loaded(file)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (under("model.") | {"model.more.weight": torch.ones(1)}, "it also has more.weight"),
        (STATE | {"more.weight": torch.ones(1)}, "it also has more.weight"),
        (under("model.", ToyNetwork(12).state_dict()), "its layers.5.weight is 12 x 16, not 10 x"),
        ({"state": OPTIMIZER["param_groups"], "a": {"b": torch.ones(1)}}, "it lacks layers.0."),
    ],
)
def test_what_does_not_fit_is_told_by_the_networks_names(
    tmp_path: Path, content: object, told: str
) -> None:
    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(UserError, match=f"does not fit toy: {told}"):
        loaded(tmp_path / "net.pth")


class Versioned(nn.Linear):
    """Its weights of version 1 were of the other sign, as modules may say in PyTorch."""

    _version = 2

    def _load_from_state_dict(
        self, state: dict[str, Tensor], prefix: str, told: dict[str, int], *rest: object
    ) -> None:
        if told.get("version") == 1:
            state[f"{prefix}weight"] = -state[f"{prefix}weight"]
        elif told.get("version") != 2:
            raise ValueError
        super()._load_from_state_dict(state, prefix, told, *rest)


@pytest.mark.parametrize("version", [1, 2, None])
def test_versions_of_modules_are_kept(tmp_path: Path, version: int | None) -> None:
    network = nn.Sequential(OrderedDict(head=Versioned(2, 2)))
    state = nn.Sequential(OrderedDict(module=network)).state_dict()
    if version is None:
        state = dict(state)
    else:
        vars(state)["_metadata"]["module.head"]["version"] = version
    torch.save({"model": state}, tmp_path / "net.pth")
    twin = nn.Sequential(OrderedDict(head=Versioned(2, 2)))
    load_into(twin, tmp_path / "net.pth", "toy")
    expected = network.head.weight * (-1 if version == 1 else 1)
    assert torch.equal(twin.head.weight, expected)


@pytest.mark.parametrize(
    "content",
    [
        {"model": {"state_dict": under("module.")}},
        {"params_ema": under("_orig_mod.module."), "optimizer": OPTIMIZER},
        {"G": STATE, "D": OTHER},
        {"model_ema": OTHER, "model": under("_orig_mod.")},
        {"n_averaged": torch.tensor(3), **under("module.")},
    ],
)
def test_a_state_dict_of_a_network_that_is_not_told(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "net.pth")
    found = load_state_dict(tmp_path / "net.pth")
    assert found.keys() == STATE.keys()
    assert equal(found, STATE)


@pytest.mark.parametrize(
    ("state", "count"),
    [
        (ToyNetwork(12).state_dict(), 12),
        (STATE, None),
        (STATE | {"layers.5.weight": torch.ones(12, 3)}, None),
        (STATE | {"layers.5.weight": torch.ones(12, 16)}, 12),
        (STATE | {"layers.5.weight": torch.ones(12, 16), "layers.5.bias": torch.ones(3)}, None),
        (STATE | {"layers.5.bias": torch.tensor(3)}, None),
        ({"layers.5.bias": torch.ones(12)}, None),
    ],
)
def test_other_classes_are_counted(state: Mapping[str, Tensor], count: int | None) -> None:
    assert classes_of(NETWORK, state) == count
