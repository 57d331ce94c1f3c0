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

from genattr.errors import UserError, require
from genattr.filler._lightfill.network import ARCHITECTURE, LightFill
from genattr.weights import PackagedWeights, first_line, load_into

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
        file = Path(checkpoint).expanduser()
        _check(file)
        load_into(network, file, "LightFill")
    return network.float()


def write(network: nn.Module, file: Path, details: Mapping[str, str]) -> None:
    """Write weights in half precision, with the architecture and what else is to be told of them.

    Parameters
    ----------
    details
        Such as ``version`` and ``license``.
    """
    halved = {name: _packed(value) for name, value in network.state_dict().items()}
    save_file(halved, file, {"format": "pt", "architecture": ARCHITECTURE, **details})


def _packed(value: Tensor) -> Tensor:
    return value.detach().cpu().half().contiguous()


def _check(file: Path) -> None:
    """Refuse a file that does not say that it is of this network."""
    where = f"filler.checkpoint={file}"
    require(file.is_file(), f"{where}: no such file")
    try:
        with safe_open(file, "pt") as opened:
            metadata = opened.metadata() or {}
    except SafetensorError as error:
        raise UserError(f"{where}: not a safetensors file: {first_line(error)}") from error
    told = metadata.get("architecture", "none")
    good = told == ARCHITECTURE
    require(good, f"{where}: its architecture is {told}, but filler=lightfill needs {ARCHITECTURE}")
