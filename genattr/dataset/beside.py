"""Files of one's own about the photos, such as masks, found by the photos' names."""

from __future__ import annotations

from collections.abc import Sequence
from os.path import isfile  # which says so of a name that is too long
from pathlib import Path

from genattr.dataset.formats import suffixes
from genattr.errors import BadPhotoError


def file_of(image_id: str, root: Path, endings: Sequence[str], kind: str) -> Path:
    """Find a photo's file in a folder: ``birds/a.jpg.png``, or else ``birds/a.png``.

    Parameters
    ----------
    image_id
        The photo's name, such as ``birds/a.jpg``.
    root
        The folder; paths that lead out of it are ignored.
    endings
        Those that the file may have, the preferred one first.
    kind
        What the file is, for the message.

    Raises
    ------
    BadPhotoError
        If there is none.
    """
    files = files_of(image_id, root, endings)
    if not files:
        names = " or ".join(_names(image_id, endings))
        raise BadPhotoError(f"{image_id}: no {kind} {names} in {root}")
    return files[0]


def files_of(image_id: str, root: Path, endings: Sequence[str]) -> Sequence[Path]:
    """Return the photo's files that are there, the preferred one first; see ``file_of``."""
    inside = root.resolve()
    candidates = [(inside / name).resolve() for name in _names(image_id, endings)]
    return [path for path in candidates if path.is_relative_to(inside) and isfile(path)]


def _names(image_id: str, endings: Sequence[str]) -> Sequence[str]:
    """Return the possible names of a photo's file, the exact ones first."""
    suffix = Path(image_id).suffix
    stems = [image_id]
    if suffix.lower() in suffixes():
        stems.append(image_id.removesuffix(suffix))
    return [f"{stem}{ending}" for stem in stems for ending in endings]
