"""``genattr store`` counts, lists, verifies and prunes heatmaps; ``--help`` explains how."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from genattr import config, stopping, streams
from genattr.errors import one_line_errors, require
from genattr.files import expanded
from genattr.store.heatmaps import ALGORITHM_VERSION
from genattr.store.inventory import (
    DAY,
    FEW,
    Entry,
    is_damaged,
    prune,
    show,
    show_groups,
    show_page,
    verify,
)
from genattr.store.shared import clock


def _rules(chosen: argparse.Namespace, now: float) -> Callable[[Entry], bool]:
    """Turn the options of prune into one test of a file; what need not open it comes first."""
    rules: list[Callable[[Entry], bool]] = []
    if chosen.older_than is not None:
        rules.append(lambda entry: now - entry.made > chosen.older_than * DAY)
    if chosen.unused_for is not None:
        rules.append(lambda entry: now - max(entry.used, entry.made) > chosen.unused_for * DAY)
    if chosen.all:
        rules.append(lambda entry: True)
    if chosen.other_versions:
        rules.append(lambda entry: entry.version != ALGORITHM_VERSION)
    if chosen.corrupt:
        rules.append(is_damaged)
    options = "--older-than, --unused-for, --other-versions, --corrupt or --all"
    require(bool(rules), f"prune: say what: {options}")
    return lambda entry: any(rule(entry) for rule in rules)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"{config.program()} store",
        description="The store of finished heatmaps: how many there are, and how large; "
        f"of up to {FEW:,} also what made them.",
    )
    parser.add_argument("--store", type=Path, help="its folder; default: that of conf/config.yaml")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("groups", help="what made the heatmaps; opens each file")
    listing = commands.add_parser("list", help="one heatmap a line, page by page")
    listing.add_argument(
        "--limit", type=_count, default=100, metavar="N", help="lines of a page (default: 100)"
    )
    listing.add_argument(
        "--after",
        default="",
        metavar="NAME",
        help="begin after this heatmap, or what it begins with",
    )
    commands.add_parser("verify", help="read every file; exit code 1 if one is damaged")
    pruning = commands.add_parser("prune", help="delete files that meet any of the conditions")
    for name, help_text in {
        "--older-than": "made so long ago",
        "--unused-for": "no run has found it for so long",
    }.items():
        pruning.add_argument(name, help=help_text, type=_days, metavar="DAYS")
    pruning.add_argument(
        "--other-versions",
        action="store_true",
        help="made by another version, or an unknown one; opens each file",
    )
    pruning.add_argument(
        "--corrupt", action="store_true", help="damaged, or never finished; reads all"
    )
    pruning.add_argument("--all", action="store_true", help="everything")
    pruning.add_argument("--yes", action="store_true", help="delete; else only say what would be")
    return parser


def _days(text: str) -> float:
    value = float(text)
    if not value >= 0:
        raise ValueError
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; the exit code is 1 after damage, a mistake, or what may not be deleted."""
    streams.prepare()
    chosen = _parser().parse_args(arguments)
    root = expanded(chosen.store or config.home() / "heatmaps")
    with stopping.in_one_line(), one_line_errors():
        problems = _run(chosen, root)
    if problems:
        raise SystemExit(1)


def _run(chosen: argparse.Namespace, root: Path) -> int:
    """Do what was chosen, and return how many files are damaged, or could not be deleted."""
    if chosen.command == "prune":
        return prune(root, _rules(chosen, clock(root)), really=chosen.yes)
    if chosen.command == "verify":
        return verify(root)
    if chosen.command == "list":
        show_page(root, chosen.limit, chosen.after)
    elif chosen.command == "groups":
        show_groups(root)
    else:
        show(root)
    return 0


if __name__ == "__main__":
    main()
