"""What a training leaves so that it can go on: written aside and renamed, read without pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from genattr.assets.weights import load_into
from genattr.errors import UserError, first_line, require
from genattr.files import expanded, replaced
from genattr.filler._lightfill import weights
from genattr.filler._lightfill.network import LightFill
from genattr.training.discriminator import Discriminator
from genattr.training.settings import SHIPPED, Settings

FILE = "checkpoint.pt"
WEIGHTS, DISCRIMINATOR = "lightfill.safetensors", "discriminator.safetensors"
OWN = "to be told by whoever trained it"


def save(folder: Path, state: Mapping[str, Any], settings: Settings) -> None:
    """Replace the checkpoint of a folder at once."""
    content = dict(state) | {"settings": json.dumps(settings.lasting())}
    with replaced(folder / FILE) as temporary, temporary.open("wb") as opened:
        torch.save(content, opened)  # by its own way it does not tell why it fails


def read(folder: Path, settings: Settings) -> dict[str, Any] | None:
    """Return the checkpoint of a folder; None if there is none.

    Raises
    ------
    UserError
        If it cannot be read or is of a training with other settings.
    """
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        before = json.loads(state["settings"])
    except Exception as error:
        raise UserError(f"{file} is no checkpoint of a training: {first_line(error)}") from error
    now = json.loads(json.dumps(settings.lasting()))
    changed = [f"{key}={before.get(key)}" for key in now if before.get(key) != now[key]]
    where = f"folder={folder} holds a training with {', '.join(changed)}"
    require(not changed, f"{where}: start it as before, or give another name= or folder=")
    return dict(state)


def write_weights(folder: Path, ema: nn.Module, details: Mapping[str, str]) -> None:
    """Write the weights as ``filler=lightfill filler.checkpoint=`` takes them, at once."""
    with replaced(folder / WEIGHTS) as temporary:
        weights.write(ema, temporary, details)


def write_discriminator(folder: Path, discriminator: nn.Module) -> None:
    """Write the discriminator as ``init_discriminator`` takes it, at once."""
    state = {
        name: one.detach().cpu().contiguous() for name, one in discriminator.state_dict().items()
    }
    with replaced(folder / DISCRIMINATOR) as temporary:
        save_file(state, temporary)


def first_network(init: str | None) -> LightFill:
    """Return the inpainter as training begins: random, or with given weights.

    Raises
    ------
    UserError
        If the file is missing, damaged, or of another architecture.
    """
    if init is None:
        return LightFill()
    try:
        return weights.load(None if init == SHIPPED else init)
    except UserError as error:
        raise UserError(str(error).replace("filler.checkpoint=", "init=")) from error


def license_of(init: str | None) -> str:
    """Return the license that weights inherit from those that a training went on from."""
    if init is None:
        return OWN
    if init == SHIPPED:
        return weights.LICENSE
    with safe_open(expanded(init), "pt") as opened:
        return str((opened.metadata() or {}).get("license", OWN))


def first_discriminator(init: str | None) -> Discriminator:
    """Return the discriminator as training begins; UserError as ``first_network``."""
    discriminator = Discriminator()
    if init is not None:
        file = expanded(init)
        require(file.is_file(), f"init_discriminator={init}: no such file")
        load_into(discriminator, file, "the discriminator")
    return discriminator
