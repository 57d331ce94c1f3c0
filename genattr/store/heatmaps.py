"""Finished heatmaps, each under the hash of all its inputs.

    python -m genattr.store

lists, verifies and prunes them; ``--help`` explains how.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import time
from contextlib import suppress
from errno import EACCES, EPERM, EROFS
from pathlib import Path
from typing import Any, ClassVar
from zipfile import BadZipFile

from genattr.components import identity
from genattr.errors import require
from genattr.method.base import Method
from genattr.protocols import Classifier, Filler
from genattr.store import archive
from genattr.store.shared import READING, patiently, write
from genattr.types import Heatmap, Sample

log = logging.getLogger(__name__)
ALGORITHM_VERSION = 1  # raise it when the same configuration computes other values
NOT_ALLOWED = (EACCES, EPERM, EROFS)


class Key(str):
    """A heatmap's name in the store: the hash of its inputs.

    Attributes
    ----------
    about
        The inputs as the JSON text that was hashed; empty if only the hash is known.
    """

    about: str = ""

    @classmethod
    def of(cls, parts: Any) -> Key:
        """Hash the inputs of a heatmap."""
        about = json.dumps(parts, sort_keys=True)
        key = cls(hashlib.sha256(about.encode()).hexdigest())
        key.about = about
        return key


class HeatmapStore:
    """One file per heatmap, named by its key, written by temporary file and rename.

    Parameters
    ----------
    root
        The folder; made when needed.

    Attributes
    ----------
    keeps
        What is put there is found again.
    """

    keeps: ClassVar[bool] = True

    def __init__(self, root: Path) -> None:
        self.root = root

    def get(self, key: str) -> Heatmap | None:
        """Return the heatmap, or None; a damaged file counts as absent and is named in the log.

        This is one look-up of one name: no folder is listed.
        """
        path = self._path(key)
        try:
            heatmap = patiently(lambda: _read(path, key), READING)
        except FileNotFoundError:
            return None
        except Exception as error:
            log.warning("%s is damaged (%s): explained again", path, type(error).__name__)
            return None
        if not (bool(heatmap.values.isfinite().all()) and math.isfinite(heatmap.score)):
            log.warning("%s holds NaN or infinity: explained again", path)
            return None
        note_use(path)
        return heatmap

    def __contains__(self, key: str) -> bool:
        """Whether there is a file of that key, which may be damaged."""
        return self._path(key).is_file()

    def put(self, key: str, heatmap: Heatmap) -> None:
        """Write a heatmap atomically, even if another process or machine writes the same one.

        Raises
        ------
        UserError
            If this user may not write there.
        """
        path, about = self._path(key), getattr(key, "about", "")
        try:
            write(self.root, path, lambda file: archive.write(file, [heatmap], 1, about))
        except OSError as error:
            require(error.errno not in NOT_ALLOWED, _not_allowed(self.root, path, error))
            raise

    def _path(self, key: str) -> Path:
        return self.root / key[:2] / f"{key}.npz"


class NoStore(HeatmapStore):
    """Keeps nothing."""

    keeps: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__(Path())

    def __contains__(self, key: str) -> bool:
        return False

    def get(self, key: str) -> None:
        """Return None: it is always absent."""

    def put(self, key: str, heatmap: Heatmap) -> None:
        """Keep nothing."""


def _read(path: Path, key: str) -> Heatmap:
    """Read a file that must be whole and of this key; once more, if another was just put there."""
    with suppress(ValueError, BadZipFile):
        return _read_once(path, key)
    return _read_once(path, key)


def _read_once(path: Path, key: str) -> Heatmap:
    heatmap, about = archive.read_one(path)
    if about and hashlib.sha256(about.encode()).hexdigest() != key:
        raise ValueError("another heatmap")
    return heatmap


def _not_allowed(root: Path, path: Path, error: OSError) -> str:
    return (
        f"store={root}: {path.parent.name}/ cannot be written to ({error.strerror}); its owner can "
        "give the group leave (chmod -R g+w), or store= can name a folder of your own"
    )


def note_use(path: Path) -> None:
    """Set the file's access time, because file systems update it rarely or never."""
    with suppress(OSError):  # a store that is read-only for this user, or a file of another one
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))


def heatmap_key(
    sample: Sample,
    target: int,
    classifier: Classifier,
    filler: Filler,
    method: Method,
    seed: int,
    explain: str = "probability",
) -> Key:
    """Hash all inputs of a heatmap: pixels, weights, parameters, seed, quantity, version.

    A method or a filler that uses more of the photo, such as its boxes, adds it by ``reads``.

    Raises
    ------
    BadPhotoError
        If what method or filler read of the photo cannot be read.
    """
    parts = {
        "version": ALGORITHM_VERSION,
        "image": hashlib.sha256(sample.image.contiguous().numpy().tobytes()).hexdigest(),
        "image_id": sample.image_id,
        "native_size": list(sample.native_size),
        "target": target,
        "classifier": identity(classifier),
        "filler": identity(filler),
        "method": identity(method),
        "seed": seed,
    }
    if explain != "probability":
        parts["explain"] = explain
    of_filler = filler.reads(sample)
    parts |= {"filler_reads": of_filler} if of_filler else {}
    return Key.of(parts | method.reads(sample))
