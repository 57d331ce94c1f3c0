"""Finished heatmaps, each under the hash of all its inputs.

    python -m genattr.store

lists, verifies and prunes them; ``--help`` explains how.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import logging
import math
import os
import shutil
import tempfile
import time
from contextlib import suppress
from errno import EACCES, EPERM, EROFS
from pathlib import Path
from typing import Any, ClassVar

from genattr.components import identity
from genattr.errors import FaultError, warn_once
from genattr.files import try_folder, writing
from genattr.method.base import Method
from genattr.protocols import Classifier, Filler
from genattr.store import archive
from genattr.store.shared import READING, patiently, write
from genattr.types import Heatmap, Sample

log = logging.getLogger(__name__)
SPARE = "GENATTR_SPARE"  # environment variable with the folder for what no store takes
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
        FaultError
            If there is no room, or this user may not write there.
        """
        path, content = self._path(key), archive.content(heatmap, getattr(key, "about", ""))
        with writing(self.root):
            try:
                write(self.root, path, lambda file: file.write_bytes(content))
            except OSError as error:
                if error.errno not in NOT_ALLOWED:
                    raise
                raise FaultError(_not_allowed(self.root, path, error)) from error

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
    try:
        return _read_once(path, key)
    except OSError:
        raise
    except Exception:
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


class ReadStore(HeatmapStore):
    """A store that is only read; what is new is kept elsewhere.

    Parameters
    ----------
    root
        Its folder.
    spare
        Takes what is new.
    """

    def __init__(self, root: Path, spare: HeatmapStore) -> None:
        super().__init__(root)
        self._spare = spare

    def __contains__(self, key: str) -> bool:
        return super().__contains__(key) or key in self._spare

    def get(self, key: str) -> Heatmap | None:
        """Return the heatmap from the one or the other, or None."""
        return self._spare.get(key) or super().get(key)

    def put(self, key: str, heatmap: Heatmap) -> None:
        """Keep it elsewhere."""
        self._spare.put(key, heatmap)


def open_store(root: Path) -> HeatmapStore:
    """Return the store in a folder; one that others have filled may be closed for writing.

    Raises
    ------
    UserError
        If the folder can be neither written nor read.
    """
    if os.path.isdir(root) and os.access(root, os.R_OK | os.X_OK) and not os.access(root, os.W_OK):
        warn_once(
            log,
            f"store={root} is not for writing: its heatmaps are used, and new ones are kept until "
            "this process ends",
        )
        return ReadStore(root, HeatmapStore(_spare()))
    try_folder("store", root.absolute())
    return HeatmapStore(root)


def _spare() -> Path:
    """Return the folder for what no store takes, of this process and those that it starts."""
    if SPARE not in os.environ:
        os.environ[SPARE] = tempfile.mkdtemp(prefix="genattr-")
        atexit.register(shutil.rmtree, os.environ[SPARE], ignore_errors=True)
    return Path(os.environ[SPARE])


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
