"""Scores of stored heatmaps, each under the hash of all its inputs; one file a heatmap.

A file is JSON, beside the heatmap's own:

=========== =====================================================================
``version`` of the algorithms, as in the heatmap's key
``scores``  by key: ``about``, the JSON text that the key hashes, ``values``, and the
            ``checksum`` (CRC-32) of both
=========== =====================================================================
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from functools import cache
from inspect import getsourcefile
from pathlib import Path
from typing import Any
from zlib import crc32

from genattr.components import identity
from genattr.errors import FaultError, obstacle, warn_once
from genattr.files import content
from genattr.metric.base import Metric
from genattr.store.heatmaps import ALGORITHM_VERSION, Key, note_use
from genattr.store.shared import READING, patiently, write
from genattr.types import Heatmap, Sample

log = logging.getLogger(__name__)
SCORES_VERSION = 1  # raise it when a metric computes another score of the same heatmap
SUFFIX = ".scores.json"
ROUNDS = 20  # in which scores are added to a file that others write at the same time

Values = Mapping[str, Any]


class ScoreStore:
    """Scores of heatmaps, in the folder of the store.

    Parameters
    ----------
    root
        The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def get(self, heatmap: str) -> dict[str, Values]:
        """Return the scores of a heatmap, by their keys; a damaged file counts as absent.

        Parameters
        ----------
        heatmap
            The heatmap's key.
        """
        path = self._path(heatmap)
        try:
            found = patiently(lambda: read(path), READING)
        except FileNotFoundError:
            return {}
        except Exception as error:
            log.warning("%s is damaged (%s): scored again", path, type(error).__name__)
            return {}
        note_use(path)
        return {key: entry["values"] for key, entry in found.items()}

    def put(self, heatmap: str, scores: Mapping[Key, Values]) -> None:
        """Add scores of a heatmap to its file, which is replaced whole.

        Those that would not come back exactly as they are, type by type, are left out. What another
        process adds at the same time is kept as well: what is there is looked at once more before
        the file is replaced, and afterwards. That is no lock: scores that are lost all the same are
        only computed again.
        """
        kept = {str(k): _entry(k, values) for k, values in scores.items() if _comes_back(values)}
        path = self._path(heatmap)
        try:
            for _ in range(ROUNDS):
                self._add(path, kept)
                if kept.keys() <= _entries(_content(path)).keys():
                    return
        except (OSError, FaultError) as error:  # scores are soon computed again
            warn_once(log, f"{self.root}: scores are not kept there: {obstacle(error) or error}")

    def _add(self, path: Path, kept: Mapping[str, Any]) -> None:
        """Write the file with what is there and more, unless it has changed in the meantime."""

        def fill(temporary: Path) -> None:
            for _ in range(ROUNDS):
                before = _content(path)
                entries = {**_entries(before), **kept}
                text = json.dumps({"version": ALGORITHM_VERSION, "scores": entries})
                temporary.write_text(text, encoding="utf-8")
                if _content(path) == before:
                    return

        write(self.root, path, fill)

    def _path(self, heatmap: str) -> Path:
        return self.root / heatmap[:2] / f"{heatmap}{SUFFIX}"


class NoScores(ScoreStore):
    """Keeps nothing."""

    def __init__(self) -> None:
        super().__init__(Path())

    def get(self, heatmap: str) -> dict[str, Values]:
        """Return none."""
        return {}

    def put(self, heatmap: str, scores: Mapping[Key, Values]) -> None:
        """Keep nothing."""


def read(path: Path) -> dict[str, Any]:
    """Return the entries of a file by their keys, with ``about`` and ``values``.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError, RecursionError
        If it is damaged.
    """
    return _parsed(content(path))


def version(path: Path) -> int:
    """Return the version of the algorithms that a file's heatmap has."""
    return int(json.loads(content(path))["version"])


def _parsed(text: bytes) -> dict[str, Any]:
    """Return the entries in a file's content, each of which must be as it was written."""
    found = json.loads(text)
    entries = found.get("scores") if isinstance(found, dict) else None
    if not isinstance(entries, dict) or not all(map(_is_whole, entries.values())):
        raise ValueError("not as it was written")
    return entries


def _entries(text: bytes) -> dict[str, Any]:
    """Return the entries in a file's content; none if it is damaged."""
    try:
        return _parsed(text)
    except (ValueError, RecursionError):
        return {}


def _content(path: Path) -> bytes:
    """Return a file's content; nothing if there is none, or it cannot be read."""
    try:
        return patiently(lambda: content(path), READING)
    except OSError:
        return b""


def _entry(key: Key, values: Values) -> dict[str, Any]:
    entry = {"about": key.about, "values": dict(values)}
    return entry | {"checksum": _checksum(entry)}


def _checksum(entry: Mapping[str, Any]) -> int:
    return crc32(json.dumps([entry["about"], entry["values"]]).encode())


def _is_whole(entry: Any) -> bool:
    """Whether an entry is as it was written; in files of old it has no checksum."""
    if not isinstance(entry, dict) or not isinstance(entry.get("about"), str):
        return False
    is_alike = isinstance(entry.get("values"), dict)
    return is_alike and entry.get("checksum", _checksum(entry)) == _checksum(entry)


def _comes_back(values: Values) -> bool:
    """Whether JSON gives the same back."""
    try:
        return _alike(json.loads(json.dumps(values)), values)
    except (TypeError, ValueError):
        return False


def _alike(found: Any, value: Any) -> bool:
    """Compare values, their types, and the order of what is in them."""
    if type(found) is not type(value):
        return False
    if isinstance(value, dict):
        return list(found) == list(value) and all(_alike(found[key], value[key]) for key in value)
    if isinstance(value, list):
        return len(found) == len(value) and all(map(_alike, found, value))
    return bool(found == value or (found != found and value != value))  # NaN


def score_key(
    heatmap_key: str, heatmap: Heatmap, metric: Metric, sample: Sample, classes: Sequence[str]
) -> Key | None:
    """Hash all inputs of a score: the heatmap, the metric, labels and boxes, versions.

    Photo, classifier, filler, seed and explained class are part of the heatmap's key.

    Parameters
    ----------
    classes
        Names of the classifier's classes.

    Returns
    -------
    None for a metric whose scores cannot be kept.
    """
    code = _code_of(type(metric))  # type: ignore[arg-type]
    if code is None or not metric.is_repeatable:
        return None
    parts = {
        "version": SCORES_VERSION,
        "heatmap": heatmap_key,
        "values": hashlib.sha256(heatmap.values.numpy().tobytes()).hexdigest(),
        "score": heatmap.score,
        "metric": identity(metric),
        "code": code,
        "classes": _names_hash(tuple(classes)),
        "objects": [_object(twin) for twin in (sample, *sample.others)],
        "reads": metric.reads(sample),
    }
    try:
        return Key.of(parts)
    except TypeError:  # a parameter that JSON does not know
        return None


def _object(sample: Sample) -> list[Any]:
    return [sample.label, None if sample.boxes is None else sample.boxes.tolist()]


@cache
def _names_hash(names: tuple[str, ...]) -> str:
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()


@cache
def _code_of(kind: type) -> str | None:
    """Hash the files of a user's own metric and its bases; ours have a version.

    Returns
    -------
    Empty if all is ours; None for a class without a file, such as one from a notebook.
    """
    try:
        files = {str(getsourcefile(base)) for base in kind.__mro__ if not _is_ours(base)}
        content = [Path(file).read_bytes() for file in sorted(files)]
    except (TypeError, OSError):
        return None
    return hashlib.sha256(b"".join(content)).hexdigest() if files else ""


def _is_ours(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in ("genattr", "builtins", "abc", "typing")
