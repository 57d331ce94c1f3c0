"""Which files of a folder are photos, by the endings of their names, and which are left out."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from mimetypes import MimeTypes
from pathlib import Path

from PIL import Image, features

from genattr.errors import abridged, require, warn_once

log = logging.getLogger(__name__)

ENDINGS = {
    ".apng", ".avif", ".bmp", ".dib", ".gif", ".heic", ".heif", ".hif", ".j2c", ".j2k", ".jfif",
    ".jp2", ".jpc", ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx", ".mpo", ".pbm", ".pgm", ".png",
    ".pnm", ".ppm", ".qoi", ".tga", ".tif", ".tiff", ".webp",
}  # fmt: skip
CODECS = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}  # Pillow may lack these
HEIF = (".heic", ".heif", ".hif")
OTHER = {  # endings and whole names of what is plainly no photo, whatever Python knows
    ".7z", ".aae", ".bak", ".bz2", ".cfg", ".ckpt", ".csv", ".db", ".docx", ".gz", ".ini",
    ".ipynb", ".jsonl", ".lnk", ".lock", ".log", ".md", ".names", ".npy", ".npz", ".onnx",
    ".parquet", ".pickle", ".pkl", ".pt", ".pth", ".rar", ".rst", ".safetensors", ".sh", ".sqlite",
    ".tmp", ".toml", ".tsv", ".url", ".xlsx", ".xmp", ".xz", ".yaml", ".yml", "authors",
    "changelog", "citation", "copying", "license", "makefile", "notice", "readme",
}  # fmt: skip


@cache
def suffixes() -> frozenset[str]:
    """Return the endings of photos that can be read here, such as ``.jpg``."""
    register()
    known = Image.registered_extensions()
    return frozenset(ending for ending in ENDINGS if _has_codec(known.get(ending)))


@cache
def register() -> None:
    """Let Pillow read HEIC where the package pillow-heif is installed."""
    with suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()


def _has_codec(name: str | None) -> bool:
    return name is not None and (name not in CODECS or bool(features.check(CODECS[name])))


@dataclass(frozen=True)
class Found:
    """What a folder and its subfolders hold.

    Attributes
    ----------
    photos
        Sorted. Pipes, links that lead nowhere and the like are among them, and cannot be read.
    left_out
        Counts of other files that may be photos, by ending; what is plainly none is not among
        them: text, tables, archives, films, hidden files.
    unread
        Folders that cannot be looked into, and those without files whose names end as photos do,
        each with the reason.
    """

    photos: list[Path]
    left_out: Mapping[str, int]
    unread: Sequence[str] = ()

    def tell(self, where: str) -> None:
        """Warn, once a process, of what is left out; UserError if there is no photo.

        Parameters
        ----------
        where
            Begins the line, such as "dataset.root=photos".
        """
        kinds = ", ".join(sorted(suffixes()))
        others = f"; it has {self._others()}" if self.left_out else ""
        unread = f"could not read {abridged(self.unread)}"
        others += f"; {unread}" if self.unread else ""
        require(len(self.photos) > 0, f"{where}: no photo in it ({kinds}){others}")
        if self.unread:
            warn_once(log, f"{where}: {unread}")
        if self.left_out:
            count = sum(self.left_out.values())
            files = "file" if count == 1 else "files"
            warn_once(log, f"{where}: left out {count} {files}: {self._others()}")

    def _others(self) -> str:
        ordered = sorted(self.left_out.items(), key=lambda item: (-item[1], not item[0], item[0]))
        named = abridged([f"{count} {ending or 'without ending'}" for ending, count in ordered])
        lacks_heif = any(ending in self.left_out for ending in HEIF)
        return f"{named} (pip install pillow-heif reads HEIC)" if lacks_heif else named


def photos_in(root: Path, skip: Path | None = None) -> Found:
    """Find the photos in a folder and its subfolders, by the endings of their names.

    Parameters
    ----------
    skip
        A folder whose files do not count.
    """
    photos: list[Path] = []
    left_out: Counter[str] = Counter()
    unread: list[str] = []
    for path in files_below(root, unread, skip):
        if path.suffix.lower() in suffixes():
            photos += [path] * (not _is_hidden(path.relative_to(root)))
        elif not _is_other(path.relative_to(root)) and path.is_file():
            left_out[path.suffix.lower()] += 1
    return Found(sorted(photos), left_out, tuple(unread))


def files_below(
    root: Path, unread: list[str] | None = None, skip: Path | None = None
) -> Iterator[Path]:
    """Yield all that is in a folder and its subfolders and is no folder; links are not followed.

    Parameters
    ----------
    unread
        Takes what ``Found.unread`` has.
    skip
        A folder whose files are left out.
    """
    told: list[str] = [] if unread is None else unread
    skipped = skip.resolve() if skip else None
    for folder, _, names in os.walk(root, onerror=lambda error: told.append(_closed(error))):
        here = Path(folder)
        if not names and here.suffix.lower() in suffixes():
            told.append(f"{here} (a folder)")
        for path in map(here.joinpath, names):
            if not (skipped and path.resolve().is_relative_to(skipped)):
                yield path


def _closed(error: OSError) -> str:
    return f"{error.filename} ({error.strerror})"


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _is_other(path: Path) -> bool:
    """Say whether a file, given below the root, is hidden or plainly no photo."""
    if _is_hidden(path):
        return True
    if path.suffix.lower() in OTHER or path.name.lower() in OTHER:
        return True
    kind = _types().guess_type(path.name)[0]
    return kind is not None and not kind.startswith("image/")


@cache
def _types() -> MimeTypes:
    """Return the types that Python itself knows, whatever else the machine does."""
    return MimeTypes()
