"""Counts, lists, verifies and prunes the store of heatmaps and their scores.

Only files with names of the store are ever read or deleted, and no link is followed. Everything
goes through one of the 256 folders after the other, once, whatever their number of files.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from genattr import config, console
from genattr.errors import UserError, require
from genattr.store import archive, scores
from genattr.store.shared import clock

DAY = 86_400  # seconds
NAME = re.compile(r"[0-9a-f]{64}\.(npz|scores\.json)")
LEFTOVER = re.compile(r"[0-9a-f]{64}\.[0-9a-f]{32}\.tmp")
STALE = 3_600  # seconds after which an unfinished file counts as abandoned
UNKNOWN = "(not told)"
FEW = 10_000  # heatmaps that are opened at once to say what made them
LONG = 16  # characters of a name that tell it from all others


@dataclass(frozen=True)
class Entry:
    """One file of the store.

    Attributes
    ----------
    where
        Its path, as text: a million of them are not parsed to be counted.
    size
        In bytes.
    made, used
        Seconds since the epoch; a heatmap, or its scores, are used when a run finds them.
    """

    where: str
    size: int
    made: float
    used: float

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.where)

    @cached_property
    def about(self) -> dict[str, Any]:
        """The heatmap's inputs, or the version of its scores; empty if that cannot be read."""
        try:
            with self._unused():
                if self.has_scores:
                    return {"version": scores.version(self.path)}
                about = json.loads(archive.read_about(self.path) or "{}")
        except Exception:
            return {}
        return about if isinstance(about, dict) else {}

    @property
    def has_scores(self) -> bool:
        """Whether it is a file of a heatmap's scores."""
        return self.where.endswith(scores.SUFFIX)

    @property
    def is_heatmap(self) -> bool:
        """Whether it is a heatmap's file, and finished."""
        return not (self.has_scores or self.is_leftover)

    @property
    def version(self) -> int | None:
        """Version of the algorithms that made the heatmap, if the file contains it."""
        return self.about.get("version")

    @property
    def is_leftover(self) -> bool:
        """Whether a killed process left it unfinished."""
        return self.where.endswith(".tmp")

    def damage(self) -> str | None:
        """Describe the file's damage; None if it can be read whole and its name fits, or is gone.

        Raises
        ------
        OSError
            If it cannot be read, so that nothing is known of it.
        """
        if self.is_leftover:
            return "never finished"
        try:
            with self._unused():
                return self._wrong_key()
        except FileNotFoundError:
            return None
        except OSError:
            raise
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
        before = self.path.stat()
        try:
            yield
        finally:
            with suppress(OSError):
                after = self.path.stat()
                is_same = after.st_mtime_ns == before.st_mtime_ns
                if is_same and after.st_atime_ns != before.st_atime_ns:
                    os.utime(self.path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _hash(about: str) -> str:
    return sha256(about.encode()).hexdigest()


def entries(
    root: Path, title: str = "", after: str = "", now: float | None = None
) -> Iterator[Entry]:
    """Yield the store's files by name, and unfinished ones that are older than an hour.

    No file is opened. One of the 256 folders at a time is in memory.

    Parameters
    ----------
    title
        Under which progress is shown, with the time left; empty: not.
    after
        Names that begin with this, or come before it, are left out.
    now
        Seconds since the epoch; None: by this machine's clock.

    Raises
    ------
    UserError
        If there is no such folder.
    """
    require(root.is_dir(), f"--store={root}: no such folder")
    names = [name for name in sorted(os.listdir(root)) if _is_folder(root, name, after)]
    begun = (now or time.time()) - STALE
    for name in console.watched(title, names, len(names)) if title else names:
        for found in _scanned(root / name):
            if found.name > after and not (after and found.name.startswith(after)):
                entry = _entry(found)
                if entry and not (entry.is_leftover and entry.made > begun):
                    yield entry


def _is_folder(root: Path, name: str, after: str) -> bool:
    is_ours = re.fullmatch("[0-9a-f]{2}", name) and name >= after[:2]
    return bool(is_ours) and stat.S_ISDIR(os.lstat(root / name).st_mode)


def _scanned(folder: Path) -> list[os.DirEntry[str]]:
    """Return what is in a folder, by name; nothing of one that another process removed."""
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda one: one.name)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror})") from None


def _entry(found: os.DirEntry[str]) -> Entry | None:
    """Return a file of the store; None for anything else, and for what is gone."""
    if not (NAME.fullmatch(found.name) or LEFTOVER.fullmatch(found.name)):
        return None
    try:
        if not found.is_file(follow_symlinks=False):
            return None
        state = found.stat(follow_symlinks=False)
    except OSError:
        return None
    return Entry(found.path, state.st_size, state.st_mtime, state.st_atime)


def describe(component: Any) -> str:
    """Return a component's name and plain parameters: "sp patch_size 29 stride 3"."""
    if not isinstance(component, dict) or "class" not in component:
        return UNKNOWN
    words = [str(component["class"]).rpartition(".")[0].rpartition(".")[2]]
    for key, value in component.items():
        if key not in ("class", "weights") and isinstance(value, str | int | float):
            words.append(f"{key} {value}")
    return _printable(" ".join(words))


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def title(entry: Entry) -> str:
    """Say what made a heatmap: the version of the algorithms, method, filler and classifier."""
    about = [describe(entry.about.get(key)) for key in ("method", "filler", "classifier")]
    made_by = UNKNOWN if set(about) == {UNKNOWN} else " · ".join(about)
    return f"version {_printable(str(entry.version or '?'))}: {made_by}"


@dataclass
class Total:
    """How many files there are of a kind, and how large and old they are."""

    count: int = 0
    size: int = 0
    made: float = 0.0
    used: float = 0.0

    def add(self, entry: Entry) -> None:
        """Count a file."""
        self.count += 1
        self.size += entry.size
        self.made = max(self.made, entry.made)
        self.used = max(self.used, entry.used, entry.made)

    def when(self) -> str:
        """Say when the last of them was made, and used."""
        return f"made {_ago(self.made)}, used {_ago(self.used)}"


class Totals:
    """Counts the files of a store by what they are."""

    def __init__(self) -> None:
        self.heatmaps, self.scores, self.unfinished = Total(), Total(), Total()

    def add(self, entry: Entry) -> None:
        """Count a file."""
        others = self.scores if entry.has_scores else self.unfinished
        (self.heatmaps if entry.is_heatmap else others).add(entry)

    def say(self, root: Path) -> None:
        """Print a line for each kind that there is."""
        total = self.heatmaps
        each = f", {_bytes(total.size / total.count)} each" if total.count else ""
        console.say(f"{total.count:6} heatmaps in {root}: {_bytes(total.size)}{each}")
        if self.scores.count:
            console.say(f"{self.scores.count:6} files of scores: {_bytes(self.scores.size)}")
        if self.unfinished.count:
            size = _bytes(self.unfinished.size)
            console.say(f"{self.unfinished.count:6} unfinished, {size}: prune --corrupt")


def show(root: Path) -> None:
    """Print how many heatmaps there are and how large; of few also what made them.

    Names and sizes tell that: no file of a large store is opened.
    """
    totals = Totals()
    for entry in entries(root, "counting"):
        totals.add(entry)
    if totals.heatmaps.count <= FEW:
        return show_groups(root)
    totals.say(root)
    return console.say(f"what made them: {config.program()} store groups, which opens each file")


def show_groups(root: Path) -> None:
    """Print the store's heatmaps by method, filler and classifier, with their sizes."""
    totals, groups = Totals(), dict[str, Total]()
    for entry in entries(root, "reading"):
        totals.add(entry)
        if entry.is_heatmap:
            groups.setdefault(title(entry), Total()).add(entry)
    for name, group in groups.items():
        size = _bytes(group.size)
        console.say(f"{group.count:6} heatmaps, {size}, {group.when()}, {name}")
    totals.say(root)


def show_page(root: Path, limit: int, after: str) -> None:
    """Print one heatmap a line, by name, and how to see the next ones.

    Parameters
    ----------
    limit
        How many.
    after
        The name after which they begin, or its beginning; empty: from the first.
    """
    totals, last = Totals(), ""
    for entry in entries(root, after=after):
        if entry.is_heatmap and totals.heatmaps.count == limit:
            where = shlex.join(["--store", str(root), "list", f"--limit={limit}"])
            return console.say(f"more: {config.program()} store {where} --after={last[:LONG]}")
        totals.add(entry)
        if entry.is_heatmap:
            last, alone = entry.path.stem, Total()
            alone.add(entry)
            console.say(f"{last}  {_bytes(entry.size)}, {alone.when()}, {title(entry)}")
    if not after:
        totals.say(root)
    return None


def verify(root: Path) -> int:
    """Read every file whole, name those that are damaged or unreadable, and return their number."""
    count = damaged = unreadable = 0
    for entry in entries(root, "verifying"):
        count += 1
        try:
            damage = entry.damage()
            damaged += damage is not None
        except OSError as error:
            damage = f"cannot be read ({error.strerror})"
            unreadable += 1
        if damage:
            console.say(f"{entry.where}: {damage}")
    repair = "; prune --corrupt --yes deletes them, and runs explain again" if damaged else ""
    others = f", {unreadable} cannot be read" if unreadable else ""
    console.say(f"{count} files in {root}: {damaged} damaged{others}{repair}")
    return damaged + unreadable


def is_damaged(entry: Entry) -> bool:
    """Whether a file is damaged or was never finished, as far as it can be read."""
    try:
        return entry.damage() is not None
    except OSError:
        return False


def prune(root: Path, condemned: Callable[[Entry], bool], *, really: bool) -> int:
    """Delete the condemned files, or only print how many they are.

    Returns
    -------
    How many this user may not delete.
    """
    going, refused = Total(), list[str]()
    for entry in entries(root, "pruning", now=clock(root)):
        if condemned(entry):
            problem = _deleted(entry.path) if really else ""
            if problem:
                refused.append(problem)
            else:
                going.add(entry)
    outcome = "deleted" if really else "would be deleted; --yes does it"
    console.say(f"{going.count} files in {root}, {_bytes(going.size)}: {outcome}")
    if refused:
        console.say(f"{len(refused)} files could not be deleted, such as {refused[0]}")
    return len(refused)


def _deleted(path: Path) -> str:
    """Delete a file, and say why that cannot be done; nothing if it is gone."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        return f"{path}: {error.strerror}"
    return ""


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.4g} {unit}"
        count /= 1000
    return f"{count:.4g} GB"


def _ago(moment: float) -> str:
    days = (time.time() - moment) / DAY
    return "today" if days < 1 else f"{days:.0f} days ago"
