"""``python -m genattr.store`` lists, verifies and prunes heatmaps; ``--help`` explains how."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from genattr import config, stopping, streams
from genattr.errors import one_line_errors, require
from genattr.store.heatmaps import ALGORITHM_VERSION
from genattr.store.inventory import DAY, Entry, prune, show, verify


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
    options = "--older-than, --unused-for, --other-versions, --corrupt or --all"
    require(bool(rules), f"prune: say what: {options}")
    return lambda entry: any(rule(entry) for rule in rules)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"{config.program()} store", description="The store of finished heatmaps."
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
        "--other-versions", action="store_true", help="made by another version, or an unknown one"
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
    streams.replace_unknown()
    chosen = _parser().parse_args(arguments)
    root = (chosen.store or config.home() / "heatmaps").expanduser()
    damaged = 0
    with stopping.in_one_line(), one_line_errors():
        if chosen.command == "prune":
            prune(root, _rules(chosen), really=chosen.yes)
        elif chosen.command == "verify":
            damaged = verify(root)
        else:
            show(root)
    if damaged:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
