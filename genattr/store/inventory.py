"""What is in the store of heatmaps: list it, verify it, prune it.

Only files that the store itself named are ever read or deleted, and no link is followed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from genattr import config, console
from genattr.errors import one_line_errors, require
from genattr.store import archive
from genattr.store.heatmaps import ALGORITHM_VERSION

DAY = 86_400  # seconds
NAME = re.compile(r"[0-9a-f]{64}\.npz")
LEFTOVER = re.compile(r"[0-9a-f]{64}\.[0-9a-f]{32}\.tmp")
STALE = 3_600  # seconds, after which nobody writes to an unfinished file any more
UNTOLD = "(not told)"


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
        Seconds since the epoch; a heatmap is used when a run finds it.
    """

    path: Path
    size: int
    made: float
    used: float

    @cached_property
    def about(self) -> dict[str, Any]:
        """What determines the heatmap; empty where the file does not say, or is damaged."""
        try:
            with self._unused():
                about: dict[str, Any] = json.loads(archive.read_about(self.path) or "{}")
        except Exception:
            return {}
        return about

    @property
    def version(self) -> int | None:
        """Version of the algorithms that made the heatmap, where the file says."""
        return self.about.get("version")

    @property
    def is_leftover(self) -> bool:
        """Whether a killed process left it unfinished."""
        return self.path.suffix == ".tmp"

    def damage(self) -> str | None:
        """Say what is wrong with the file; None if it can be read whole and is under its name."""
        if self.is_leftover:
            return "never finished"
        try:
            with self._unused():
                _ = list(archive.read(self.path))
                about = archive.read_about(self.path)
        except Exception as error:
            return type(error).__name__
        if about and sha256(about.encode()).hexdigest() != self.path.stem:
            return "under another heatmap's name"
        return None

    @contextmanager
    def _unused(self) -> Iterator[None]:
        """Read the file without that it counts as used."""
        try:
            yield
        finally:
            with suppress(OSError):
                os.utime(self.path, (self.used, self.made))


def entries(root: Path) -> Iterator[Entry]:
    """Yield the store's files, and what killed processes left there unfinished an hour ago.

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
            known = NAME.fullmatch(path.name) or LEFTOVER.fullmatch(path.name)
            if known and path.is_file() and not path.is_symlink():
                state = path.stat()
                entry = Entry(path, state.st_size, state.st_mtime, state.st_atime)
                if not entry.is_leftover or time.time() - entry.made > STALE:
                    yield entry


def describe(component: Any) -> str:
    """Say a component's name and its plain parameters: "sp patch_size 29 stride 3"."""
    if not isinstance(component, dict) or "class" not in component:
        return UNTOLD
    told = [component["class"].split(".")[-2]]
    for key, value in component.items():
        if key not in ("class", "weights") and isinstance(value, str | int | float):
            told.append(f"{key} {value}")
    return " ".join(told)


def show(root: Path) -> None:
    """Print the store's heatmaps by what made them, and what they take."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries(root):
        about = [describe(entry.about.get(key)) for key in ("method", "filler", "classifier")]
        what = UNTOLD if set(about) == {UNTOLD} else " · ".join(about)
        groups.setdefault(f"version {entry.version or '?'}: {what}", []).append(entry)
    for what, members in groups.items():
        size = _bytes(sum(one.size for one in members))
        made, used = max(one.made for one in members), max(one.used for one in members)
        when = f"made {_ago(made)}, used {_ago(max(used, made))}"
        console.say(f"{len(members):6} heatmaps, {size}, {when}, {what}")
    found = [entry for members in groups.values() for entry in members]
    total = sum(entry.size for entry in found)
    each = f", {_bytes(total / len(found))} each" if found else ""
    console.say(f"{len(found):6} heatmaps in {root}: {_bytes(total)}{each}")


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
    """Delete the condemned files, or only say what that would be."""
    count = size = 0
    for entry in entries(root):
        if condemned(entry):
            count, size = count + 1, size + entry.size
            if really:
                entry.path.unlink(missing_ok=True)
    told = "deleted" if really else "would be deleted; --yes does it"
    console.say(f"{count} files in {root}, {_bytes(size)}: {told}")


def _rules(chosen: argparse.Namespace) -> Callable[[Entry], bool]:
    """Turn the options of prune into one test of a file."""
    now = time.time()
    rules: list[Callable[[Entry], bool]] = []
    if chosen.older_than is not None:
        rules.append(lambda entry: now - entry.made > chosen.older_than * DAY)
    if chosen.unused_for is not None:
        rules.append(lambda entry: now - max(entry.used, entry.made) > chosen.unused_for * DAY)
    if chosen.other_versions:
        rules.append(lambda entry: entry.version != ALGORITHM_VERSION)
    if chosen.corrupt:
        rules.append(lambda entry: entry.damage() is not None)
    if chosen.all:
        rules.append(lambda entry: True)
    told = "--older-than, --unused-for, --other-versions, --corrupt or --all"
    require(bool(rules), f"prune: say what: {told}")
    return lambda entry: any(rule(entry) for rule in rules)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m genattr.store", description="The store of finished heatmaps."
    )
    parser.add_argument("--store", type=Path, help="its folder; default: that of conf/config.yaml")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("list", help="what is there and how large it is (the default)")
    commands.add_parser("verify", help="read every file; exit code 1 if one is damaged")
    pruning = commands.add_parser("prune", help="delete files that meet any of the conditions")
    for name, help_text in {
        "--older-than": "made so long ago",
        "--unused-for": "no run has found it for so long",
    }.items():
        pruning.add_argument(name, help=help_text, type=_days, metavar="DAYS")
    pruning.add_argument(
        "--other-versions", action="store_true", help="made by another version, or by none told"
    )
    pruning.add_argument("--corrupt", action="store_true", help="damaged, or never finished")
    pruning.add_argument("--all", action="store_true", help="everything")
    pruning.add_argument("--yes", action="store_true", help="delete; else only say what would be")
    return parser


def _days(text: str) -> float:
    value = float(text)
    if value < 0:
        raise ValueError
    return value


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; the exit code is 1 after damage or a mistake."""
    chosen = _parser().parse_args(arguments)
    root = (chosen.store or config.home() / "heatmaps").expanduser()
    damaged = 0
    with one_line_errors():
        if chosen.command == "prune":
            prune(root, _rules(chosen), really=chosen.yes)
        elif chosen.command == "verify":
            damaged = verify(root)
        else:
            show(root)
    if damaged:
        raise SystemExit(1)


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.4g} {unit}"
        count /= 1000
    return f"{count:.4g} GB"


def _ago(moment: float) -> str:
    days = (time.time() - moment) / DAY
    return "today" if days < 1 else f"{days:.0f} days ago"
