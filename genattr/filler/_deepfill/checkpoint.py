"""The weights of DeepFill-v1: its authors' releases, and other checkpoints of the network.

Both files of a release are verified before anything is loaded. The checksums of the official
tensors are in ``releases.csv``. The index, a few kilobytes, has its own checksums and must
describe exactly the tensors of that table; so no hash of the whole files is needed.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genattr.assets.download import NotFetchedError, RemoteFile, cache_folder, fetch
from genattr.errors import UserError, abridged, require
from genattr.files import expanded
from genattr.filler._deepfill.network import variable_names
from genattr.filler._deepfill.tensor_bundle import Entry, read_index, tensors

log = logging.getLogger(__name__)
TABLE = Path(__file__).with_name("releases.csv")
RELEASES = ("imagenet", "places2", "celeba")
INDEX, DATA = ".index", ".data-00000-of-00001"
NAMES = (f"snap-0{INDEX}", f"snap-0{DATA}")
MAX_BYTES = 20_000_000
OTHERS = "filler.weights=null takes any checkpoint of this network"


@cache
def official(release: str) -> Mapping[str, Entry]:
    """Return the tensors of an official release by name."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return {row["name"]: _entry(row, release) for row in csv.DictReader(file)}


def _entry(row: Mapping[str, str], release: str) -> Entry:
    shape = tuple(map(int, row["shape"].split("x")))
    return Entry(shape, int(row["offset"]), int(row[release], 16))


@dataclass(frozen=True)
class ReleaseFile(RemoteFile):
    """One of the two files of an official release, recognized by its tensors.

    Parameters
    ----------
    release
        ``imagenet``, ``places2`` or ``celeba``.
    """

    release: str

    @property
    def folder(self) -> Path:
        return cache_folder() / f"deepfill_{self.release}"

    @property
    def part(self) -> Path:
        return self.folder / f".{self.name}.part"

    def check(self, file: Path) -> None:
        """Raise UserError, naming the tensor, unless the file is the official one."""
        wrong = wrong_tensor(file, self.release, is_index=self.name.endswith(INDEX))
        what = f"{file} is" if file == self.path else f"{self.url} gives"
        require(
            wrong is None,
            f"{what} not the official {self.release} release of DeepFill: {wrong} differs; the "
            f"right one belongs at {self.path}",
        )


def wrong_tensor(file: Path, release: str, *, is_index: bool) -> str | None:
    """Name the first tensor that differs from the official release; None if all are equal."""
    entries = official(release)
    if is_index:
        try:
            index = read_index(file)
        except UserError:
            return "its table of tensors"
        return next((name for name in entries if index.get(name) != entries[name]), None)
    data = file.read_bytes()
    return next((name for name in entries if entries[name].bytes_in(data) is None), None)


@dataclass(frozen=True)
class Source:
    """Where the releases are published.

    Parameters
    ----------
    url
        Folder of the releases' folders.
    license
        License of the weights.
    """

    url: str
    license: str

    def files(self, release: str) -> list[ReleaseFile]:
        """Return a release's two files."""
        address = self._address(release)
        return [
            ReleaseFile(f"{address}/{name}", None, self.license, MAX_BYTES, release)
            for name in NAMES
        ]

    def _address(self, release: str) -> str:
        return f"{self.url}/release_{release}_256"

    def fetch(self, release: str) -> Path:
        """Return the prefix of a release's files, fetched unless they are there already.

        Raises
        ------
        UserError
            If they cannot be fetched (both names, from where, to where), or are not the official
            ones.
        """
        address, files = self._address(release), self.files(release)
        try:
            index, _ = (fetch(file) for file in files)
            return index.with_suffix("")
        except NotFetchedError as error:
            raise UserError(
                f"the {release} weights of DeepFill could not be fetched ({error.reason}): put "
                f"{NAMES[0]} and {NAMES[1]} from {address} into {files[0].folder}, or give "
                f"filler.checkpoint=<folder with both> (license: {self.license})"
            ) from error


def local_prefix(checkpoint: str) -> Path:
    """Return the common prefix of both files of a checkpoint on this machine.

    Parameters
    ----------
    checkpoint
        A folder that holds one checkpoint, or the prefix itself, such as ``logs/snap-1000``.
    """
    path, prefixes = expanded(checkpoint), []
    if path.is_dir():
        prefixes = [file.with_suffix("") for file in sorted(path.glob(f"*{INDEX}"))]
        names = ", ".join(prefix.name for prefix in prefixes)
        message = f"filler.checkpoint={checkpoint}: which of {names}? Add the name to the path"
        require(len(prefixes) < 2, message)
    prefix = prefixes[0] if prefixes else path
    for end, name in zip((INDEX, DATA), NAMES, strict=True):
        message = f"filler.checkpoint={checkpoint}: there is no {name}, or the like"
        require(with_end(prefix, end).is_file(), message)
    return prefix


def with_end(prefix: Path, end: str) -> Path:
    """Return one of a checkpoint's files."""
    return prefix.with_name(prefix.name + end)


def read(prefix: Path, release: str | None) -> dict[str, Tensor]:
    """Return the network's state dict from a checkpoint on this machine.

    Parameters
    ----------
    prefix
        Of its files.
    release
        The official release that it must be; None: any complete checkpoint of this network is
        accepted, with a warning in the log.

    Raises
    ------
    UserError
        If it is not that release, is damaged, or of another network.
    """
    index, data = with_end(prefix, INDEX), with_end(prefix, DATA)
    if release:
        for file in (index, data):
            _require_official(file, release)
        return state_dict(tensors(data, official(release)))
    entries = read_index(index)
    wanted = {name: entry.shape for name, entry in official(RELEASES[0]).items()}
    lacking = [
        name for name in wanted if name not in entries or entries[name].shape != wanted[name]
    ]
    require(not lacking, f"{index} is not of DeepFill-v1: it lacks {abridged(lacking)}")
    state = state_dict(tensors(data, {name: entries[name] for name in wanted}))
    releases = [
        release_name
        for release_name in RELEASES
        if wrong_tensor(data, release_name, is_index=False) is None
    ]
    what = f"the official {releases[0]} release" if releases else "whole, but no official release"
    log.warning("%s: the weights of DeepFill are %s", prefix, what)
    return state


def _require_official(file: Path, release: str) -> None:
    """Refuse a user's file that is not the official one, and name the setting that accepts it."""
    is_index = file.name.endswith(INDEX)
    wrong = wrong_tensor(file, release, is_index=is_index)
    if wrong is None:
        return
    others = [name for name in RELEASES if wrong_tensor(file, name, is_index=is_index) is None]
    hint = f"filler.weights={others[0]} does" if others else OTHERS
    raise UserError(
        f"{file} is not the official {release} release of DeepFill (filler.weights={release}): "
        f"{wrong} differs; {hint}"
    )


def state_dict(variables: Mapping[str, NDArray[np.float32]]) -> dict[str, Tensor]:
    """Turn TensorFlow's variables into PyTorch's, under the names that the network has."""
    state = {}
    for layer, variable in variable_names().items():
        kernel = torch.tensor(variables[f"{variable}/kernel"])
        state[f"{layer}.weight"] = kernel.permute(3, 2, 0, 1).contiguous()
        state[f"{layer}.bias"] = torch.tensor(variables[f"{variable}/bias"])
    return state
