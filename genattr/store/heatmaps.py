"""Finished heatmaps, each under the hash of all its inputs.

    python -m genattr.store

lists, verifies and prunes them; ``--help`` explains how.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

from genattr.components import identity
from genattr.files import replaced
from genattr.method.base import Method
from genattr.protocols import Classifier, Filler
from genattr.store import archive
from genattr.types import Heatmap, Sample

log = logging.getLogger(__name__)
ALGORITHM_VERSION = 1  # raise it when the same configuration computes other values


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
        """Return the heatmap, or None; a damaged file counts as absent and is named in the log."""
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            heatmap = next(archive.read(path))
        except Exception as error:
            log.warning("%s is damaged (%s): explained again", path, type(error).__name__)
            return None
        if not bool(heatmap.values.isfinite().all()):
            log.warning("%s holds NaN or infinity: explained again", path)
            return None
        note_use(path)
        return heatmap

    def __contains__(self, key: str) -> bool:
        """Whether there is a file of that key, which may be damaged."""
        return self._path(key).is_file()

    def put(self, key: str, heatmap: Heatmap) -> None:
        """Write a heatmap atomically, even if another process writes the same one."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path, path.with_name(f"{key}.{uuid4().hex}.tmp")) as temporary:
            archive.write(temporary, [heatmap], 1, getattr(key, "about", ""))

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


def note_use(path: Path) -> None:
    """Set the file's access time, because file systems update it rarely or never."""
    with suppress(OSError):  # a store that is read-only for this user
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
