"""Finished heatmaps under a key of everything that determines them."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from genattr import archive
from genattr.types import Classifier, Filler, Heatmap, Method, Sample

log = logging.getLogger(__name__)
ALGORITHM_VERSION = 1  # raise it when the same configuration computes other values


class HeatmapStore:
    """One file a heatmap, named by its key, written by temporary file and rename.

    Parameters
    ----------
    root
        The folder; made when needed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def get(self, key: str) -> Heatmap | None:
        """Return the heatmap, or None; a damaged file counts as absent and is named in the log."""
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            return next(archive.read(path))
        except Exception as error:
            log.warning("%s is damaged (%s): explained again", path, type(error).__name__)
            return None

    def put(self, key: str, heatmap: Heatmap) -> None:
        """Keep a heatmap; a reader sees the whole file or none."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        os.close(handle)
        try:
            archive.write(Path(temporary), [heatmap], 1)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _path(self, key: str) -> Path:
        return self.root / key[:2] / f"{key}.npz"


def heatmap_key(
    sample: Sample,
    target: int,
    classifier: Classifier,
    filler: Filler,
    method: Method,
    seed: int,
) -> str:
    """Hash everything that determines a heatmap: pixels, weights, parameters, seed, version."""
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
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def identity(component: Any) -> Any:
    """Describe a component by its class, its parameters and the hash of its weights.

    A dataclass field with ``metadata={"identity": False}`` is left out.
    """
    if not is_dataclass(component) or isinstance(component, type):
        return component
    parts: dict[str, Any] = {"class": f"{type(component).__module__}.{type(component).__name__}"}
    for field in fields(component):
        if field.metadata.get("identity", True):
            parts[field.name] = identity(getattr(component, field.name))
    if hasattr(component, "fingerprint"):
        parts["weights"] = component.fingerprint
    return parts
