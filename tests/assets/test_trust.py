"""Files that can run code: refused in one line before any library opens them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import torch

import genattr
from genattr import components
from genattr.errors import UserError
from genattr.filler.lama import Lama
from genattr.sweep import member
from tests import toys
from tests.contract.options import built, compose_config

TOLD = "can run code.*: if you trust whoever made it, give trust=true$"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return toys.torchscript_file(tmp_path, toys.Rim())


def folder(tmp_path: Path) -> Path:
    (tmp_path / "saved_model.pb").write_bytes(b"unread")
    return tmp_path


@pytest.mark.parametrize("option", ["classifier=torchscript", "filler=torchscript"])
def test_a_torchscript_file_is_not_opened(
    file: Path, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.jit, "load", None)
    group = option.partition("=")[0]
    with pytest.raises(UserError, match=rf"^{group}\.path={file}: .*{TOLD}"):
        built(compose_config(option, f"{group}.path={file}")[group], group)


@pytest.mark.parametrize("option", ["classifier=saved_model", "filler=saved_model"])
def test_a_saved_model_is_not_opened(tmp_path: Path, option: str) -> None:
    group = option.partition("=")[0]
    with pytest.raises(UserError, match=rf"^{group}\.path={tmp_path}: .*{TOLD}"):
        built(compose_config(option, f"{group}.path={folder(tmp_path)}")[group], group)


def lama(*overrides: str) -> Lama:
    return built(compose_config("filler=lama", *overrides).filler, "filler")


def test_the_hash_of_the_configuration_is_consent(file: Path) -> None:
    local = f"filler.checkpoint={file}"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    with pytest.raises(UserError, match=rf"^{local}: .*not that of filler\.weights: .*trust=true"):
        lama(local)
    assert lama(local, f"filler.weights.sha256='{digest}'").network
    assert lama(local, "filler.trust=true").network


def test_a_download_without_a_hash_is_not_consent(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENATTR_CACHE", str(file.parent))
    chosen = ["filler.weights.sha256=null", f"filler.weights.url=https://localhost/{file.name}"]
    with pytest.raises(UserError, match=TOLD):
        _ = lama(*chosen).network
    assert lama(*chosen, "trust=true").network


def test_from_python_it_is_an_argument(file: Path) -> None:
    with pytest.raises(ValueError, match=r'^path=".*toy\.pt": .*give trust=True$'):
        genattr.component("filler/torchscript", path=file)
    trusted = genattr.component("filler/torchscript", path=file, trust=True)
    assert "trust" not in components.identity(trusted)


def test_trust_changes_no_key() -> None:
    chosen = ["classifier=torchscript", "classifier.path=net.pt"]
    configs = [compose_config(*chosen, f"trust={value}") for value in ("true", "false")]
    assert len({member.fingerprint(cfg) for cfg in configs}) == 1


LAYERS: dict[str, dict[str, Any]] = {
    "Lambda": {"module": "keras.layers", "class_name": "Lambda"},
    "a lambda": {"class_name": "__lambda__"},
    "a function": {"module": "builtins", "class_name": "function", "config": "print"},
    "what unpickles": {"module": "keras.layers", "class_name": "TorchModuleWrapper"},
    "a file's reader": {"module": "keras.layers", "class_name": "StringLookup"},
    "another package": {"module": "os", "class_name": "system"},
    "a helper of Keras": {"module": "keras.utils", "class_name": "get_file"},
}


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_a_keras_file_with_code_is_not_opened(tmp_path: Path, layer: dict[str, Any]) -> None:
    pytest.importorskip("tensorflow")
    inner = {"module": "keras", "class_name": "Sequential", "config": {"layers": [layer]}}
    with ZipFile(tmp_path / "net.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(inner))
    name = layer["class_name"]
    cfg = compose_config("classifier=keras", f"classifier.path={tmp_path / 'net.keras'}")
    with pytest.raises(UserError, match=rf"^classifier\.path=.*it has {name}, which {TOLD}"):
        built(cfg.classifier, "classifier")
