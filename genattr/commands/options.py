"""``genattr list filler``: the options of a group, a sentence each, and what they need."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence
from pathlib import Path

from genattr import config
from genattr.commands import catalog
from genattr.commands.catalog import Option
from genattr.errors import require, there_is

WIDTH = 100


def main(words: Sequence[str]) -> None:
    """Print the options of all groups, or of those that are named."""
    parser = argparse.ArgumentParser(
        prog=f"{config.program()} list",
        description="The options of each group: what follows group= on the command line.",
    )
    parser.add_argument("groups", nargs="*", help="such as filler; default: all")
    parser.add_argument("--config-dir", type=Path, help="a folder with options of your own")
    chosen = parser.parse_args(words)
    own = chosen.config_dir
    require(own is None or own.is_dir(), f"--config-dir {own}: no such folder")
    found = catalog.options(catalog.folders(own))
    for group in chosen.groups:
        require(group in found, f"{group}: no such group{there_is(group, list(found))}")
    for group in chosen.groups or found:
        _show(group, found[group])


def _show(group: str, options: Sequence[Option]) -> None:
    print(f"{group}=")
    wide = max(len(option.name) for option in options) + 4
    for option in options:
        needs = f" [{'; '.join(option.needs)}]" if option.needs else ""
        print(
            textwrap.fill(
                f"{option.sentence}{needs}",
                WIDTH,
                initial_indent=f"  {option.name}".ljust(wide),
                subsequent_indent=" " * wide,
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
    print()
