"""Lists, verifies and prunes the store of heatmaps and their scores.

Only files with names of the store are ever read or deleted, and no link is followed.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from genattr import console
from genattr.errors import require
from genattr.store import archive, scores

DAY = 86_400  # seconds
NAME = re.compile(r"[0-9a-f]{64}\.(npz|scores\.json)")
LEFTOVER = re.compile(r"[0-9a-f]{64}\.[0-9a-f]{32}\.tmp")
STALE = 3_600  # seconds after which an unfinished file counts as abandoned
UNKNOWN = "(not told)"


@dataclass(frozen=True)
class Entry:
    """One file of the store.

    Attributes
    ----------
    path
        The file.
    size
        In bytes.
    made, used
        Seconds since the epoch; a heatmap, or its scores, are used when a run finds them.
    """

    path: Path
    size: int
    made: float
    used: float

    @cached_property
    def about(self) -> dict[str, Any]:
        """The heatmap's inputs, or the version of its scores; empty if that cannot be read."""
        try:
            with self._unused():
                if self.has_scores:
                    return {"version": scores.version(self.path)}
                about: dict[str, Any] = json.loads(archive.read_about(self.path) or "{}")
        except Exception:
            return {}
        return about

    @property
    def has_scores(self) -> bool:
        """Whether it is a file of a heatmap's scores."""
        return self.path.name.endswith(scores.SUFFIX)

    @property
    def version(self) -> int | None:
        """Version of the algorithms that made the heatmap, if the file contains it."""
        return self.about.get("version")

    @property
    def is_leftover(self) -> bool:
        """Whether a killed process left it unfinished."""
        return self.path.suffix == ".tmp"

    def damage(self) -> str | None:
        """Describe the file's damage; None if it can be read whole and its name fits."""
        if self.is_leftover:
            return "never finished"
        try:
            with self._unused():
                return self._wrong_key()
        except Exception as error:
            return type(error).__name__

    def _wrong_key(self) -> str | None:
        """Read the file whole, and say whose inputs do not have the hash under which they stand."""
        if self.has_scores:
            entries = scores.read(self.path)
            wrong = [key for key, entry in entries.items() if _hash(entry["about"]) != key]
            return "scores under another's name" if wrong else None
        _ = list(archive.read(self.path))
        about = archive.read_about(self.path)
        is_wrong = about and _hash(about) != self.path.stem
        return "under another heatmap's name" if is_wrong else None

    @contextmanager
    def _unused(self) -> Iterator[None]:
        """Restore the file's times after reading, so that verifying does not count as use."""
        try:
            yield
        finally:
            with suppress(OSError):
                os.utime(self.path, (self.used, self.made))


def _hash(about: str) -> str:
    return sha256(about.encode()).hexdigest()


def entries(root: Path) -> Iterator[Entry]:
    """Yield the store's files, and unfinished ones that are older than an hour.

    Raises
    ------
    UserError
        If there is no such folder.
    """
    require(root.is_dir(), f"--store={root}: no such folder")
    for folder in sorted(root.iterdir()):
        if not re.fullmatch("[0-9a-f]{2}", folder.name) or folder.is_symlink():
            continue
        for path in sorted(folder.iterdir()):
            match = NAME.fullmatch(path.name) or LEFTOVER.fullmatch(path.name)
            if match and path.is_file() and not path.is_symlink():
                state = path.stat()
                entry = Entry(path, state.st_size, state.st_mtime, state.st_atime)
                if not entry.is_leftover or time.time() - entry.made > STALE:
                    yield entry


def describe(component: Any) -> str:
    """Return a component's name and plain parameters: "sp patch_size 29 stride 3"."""
    if not isinstance(component, dict) or "class" not in component:
        return UNKNOWN
    words = [component["class"].split(".")[-2]]
    for key, value in component.items():
        if key not in ("class", "weights") and isinstance(value, str | int | float):
            words.append(f"{key} {value}")
    return " ".join(words)


def show(root: Path) -> None:
    """Print the store's heatmaps by method, filler and classifier, with their sizes."""
    groups: dict[str, list[Entry]] = {}
    files = list(entries(root))
    scored = [entry for entry in files if entry.has_scores]
    for entry in files:
        if entry.has_scores:
            continue
        about = [describe(entry.about.get(key)) for key in ("method", "filler", "classifier")]
        title = UNKNOWN if set(about) == {UNKNOWN} else " · ".join(about)
        groups.setdefault(f"version {entry.version or '?'}: {title}", []).append(entry)
    for title, members in groups.items():
        size = _bytes(sum(entry.size for entry in members))
        made, used = max(entry.made for entry in members), max(entry.used for entry in members)
        when = f"made {_ago(made)}, used {_ago(max(used, made))}"
        console.say(f"{len(members):6} heatmaps, {size}, {when}, {title}")
    everything = [entry for members in groups.values() for entry in members]
    total = sum(entry.size for entry in everything)
    each = f", {_bytes(total / len(everything))} each" if everything else ""
    console.say(f"{len(everything):6} heatmaps in {root}: {_bytes(total)}{each}")
    if scored:
        size = _bytes(sum(entry.size for entry in scored))
        console.say(f"{len(scored):6} files of scores: {size}")


def verify(root: Path) -> int:
    """Read every file whole, name the damaged ones and return how many there are."""
    count = damaged = 0
    for entry in entries(root):
        count += 1
        damage = entry.damage()
        if damage:
            damaged += 1
            console.say(f"{entry.path}: {damage}")
    repair = "; prune --corrupt --yes deletes them, and runs explain again" if damaged else ""
    console.say(f"{count} files in {root}: {damaged} damaged{repair}")
    return damaged


def prune(root: Path, condemned: Callable[[Entry], bool], *, really: bool) -> None:
    """Delete the condemned files, or only print how many they are."""
    count = size = 0
    for entry in entries(root):
        if condemned(entry):
            count, size = count + 1, size + entry.size
            if really:
                entry.path.unlink(missing_ok=True)
    outcome = "deleted" if really else "would be deleted; --yes does it"
    console.say(f"{count} files in {root}, {_bytes(size)}: {outcome}")


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.4g} {unit}"
        count /= 1000
    return f"{count:.4g} GB"


def _ago(moment: float) -> str:
    days = (time.time() - moment) / DAY
    return "today" if days < 1 else f"{days:.0f} days ago"
