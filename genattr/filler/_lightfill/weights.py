"""The weights that come along: what they are called, their hash, version and license.

Better-trained weights of the same network replace the file, ``VERSION`` and ``SHA256``; the golden
outputs in tests/data/lightfill are then made anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from genattr.assets.weights import PackagedWeights, load_into
from genattr.errors import UserError, first_line, require
from genattr.files import expanded
from genattr.filler._lightfill.network import ARCHITECTURE, LightFill

VERSION = "1"
FILE = "lightfill.safetensors"
SHA256 = "ce70c41366db889eb8388b6a458fe7c655d5b56269047f210d774dda53bb1317"
LICENSE = "CC-BY-NC-4.0"  # as an SPDX expression; LICENSE-weights tells the rest
SHIPPED = PackagedWeights("genattr.filler._lightfill", FILE, SHA256, LICENSE)


def load(checkpoint: str | None) -> LightFill:
    """Return the network with weights in float32.

    Parameters
    ----------
    checkpoint
        A file that genattr.training wrote; None: the weights that come along.

    Raises
    ------
    UserError
        If the file is missing, damaged, or of another architecture.
    """
    network = LightFill()
    if checkpoint is None:
        network.load_state_dict(SHIPPED.load())
    else:
        load_into(network, check(checkpoint), "LightFill")
    return network.float()


def check(checkpoint: str) -> Path:
    """Return the file of a checkpoint, which must say that it is of this network.

    Raises
    ------
    UserError
        If it is missing, no safetensors file, or of another architecture.
    """
    file, where = expanded(checkpoint), f"filler.checkpoint={checkpoint}"
    require(file.is_file(), f"{where}: no such file")
    stated = _metadata(file, where).get("architecture", "none")
    require(
        stated == ARCHITECTURE,
        f"{where}: its architecture is {stated}, but filler=lightfill needs {ARCHITECTURE}",
    )
    return file


def _metadata(file: Path, where: str) -> dict[str, str]:
    try:
        with safe_open(file, "pt") as opened:
            return opened.metadata() or {}
    except SafetensorError as error:
        raise UserError(f"{where}: not a safetensors file: {first_line(error)}") from error


def write(network: nn.Module, file: Path, details: Mapping[str, str]) -> None:
    """Write weights in half precision, with the architecture and other details in the metadata.

    Parameters
    ----------
    details
        Such as ``version`` and ``license``.
    """
    halved = {name: _packed(value) for name, value in network.state_dict().items()}
    save_file(halved, file, {"format": "pt", "architecture": ARCHITECTURE, **details})


def _packed(value: Tensor) -> Tensor:
    return value.detach().cpu().half().contiguous()
