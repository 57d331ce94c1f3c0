"""Command that compares the heatmaps of a finished sweep."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from genattr import stopping, streams
from genattr.errors import UserError, one_line_errors
from genattr.files import try_folder
from genattr.results import find, finished, groups


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare the members of a sweep that ended before."""
    streams.prepare()
    parser = argparse.ArgumentParser(
        prog="python -m genattr.analysis.sensitivity",
        description="How alike are the heatmaps of a sweep's members? Prints it, leaves table and "
        "bars in the sweep's folder, and records it on the sweep's run and its members.",
    )
    parser.add_argument("sweep", help="its folder, or its id (the folder's name)")
    parser.add_argument("--over", help="the key to compare over; default: the only one that varies")
    parser.add_argument("--uri", help="tracking URI; default: that of the members")
    parser.add_argument("--out", type=Path, help="folder of table and bars")
    chosen = parser.parse_args(arguments)
    with stopping.in_one_line(), one_line_errors(), tempfile.TemporaryDirectory() as temporary:
        _compare(chosen, Path(temporary))


def _compare(chosen: argparse.Namespace, temporary: Path) -> None:
    source = find.find(chosen.sweep, chosen.uri, finished.FILES, temporary)
    out = chosen.out or (source.folders[0] if source.is_here else Path.cwd())
    try_folder("--out", out.absolute())
    out.mkdir(parents=True, exist_ok=True)
    if not groups.conclude(
        source.members, out, source.name, source.record, source.store, chosen.over
    ):
        varied = ", ".join(source.members[0].summary.comparable) or "the known keys"
        raise UserError(
            f"{chosen.sweep}: its members do not differ in exactly one of {varied}: say --over"
        )


if __name__ == "__main__":
    main()
