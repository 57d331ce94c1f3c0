"""``python -m genattr.report multirun/2026-01-31_12-00-00``; ``--help`` lists the options."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genattr import config, stopping, streams
from genattr.errors import one_line_errors
from genattr.files import try_folder

if TYPE_CHECKING:
    from genattr.results.find import Source


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the report of the named sweeps or runs."""
    streams.prepare()
    parser = argparse.ArgumentParser(
        prog=f"{config.program()} report",
        description="One HTML page that needs no network, with the tables, figures and telling "
        "photos of sweeps or runs; the figures also as PNG and PDF. It is recorded on the sweep's "
        "run.",
    )
    parser.add_argument("sweeps", nargs="+", help="folders, ids of sweeps, or MLflow's run ids")
    parser.add_argument(
        "--together",
        action="store_true",
        help="make one table and one set of figures of all, as of one sweep",
    )
    parser.add_argument("--uri", help="tracking URI; default: that of the runs")
    parser.add_argument("--out", type=Path, help="folder of the report; default: in the sweep's")
    chosen = parser.parse_args(arguments)
    with stopping.in_one_line(), one_line_errors(), tempfile.TemporaryDirectory() as temporary:
        _report(chosen, Path(temporary))


def _report(chosen: argparse.Namespace, temporary: Path) -> None:
    from genattr import console
    from genattr.report import build
    from genattr.results import find

    sources = [find.find(name, chosen.uri, find.WITH_EXAMPLES, temporary) for name in chosen.sweeps]
    if chosen.together:
        sources = [find.together(sources)]
    out = chosen.out or _default_folder(sources)
    try_folder("--out", out.absolute())
    page = build.make(sources, out)
    for source in sources:
        source.record.folder(out)
    console.say(f"Report:        {page}")


def _default_folder(sources: Sequence[Source]) -> Path:
    """Choose the only sweep's folder, if it is on this machine, else the caller's."""
    is_one = len(sources) == 1 and sources[0].is_here
    return (sources[0].folders[0] if is_one else Path.cwd()) / "report"


if __name__ == "__main__":
    main()
