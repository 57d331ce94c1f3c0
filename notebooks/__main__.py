"""Execute the notebooks: ``python -m notebooks`` tries them, small; ``--write`` keeps the outputs.

The outputs are also kept as pages in docs/notebooks; ``--pages`` alone writes these anew.

It needs nbclient and ipykernel, which ``make notebooks`` installs into an environment of its own.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from notebooks import markdown
from notebooks.state import FOLDER, NAMES

SMALL = "GENATTR_SMALL"  # environment variable: coarse settings, for trying


def main() -> None:
    """Execute all notebooks, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m notebooks", description=__doc__)
    parser.add_argument("names", nargs="*", default=NAMES, help=f"of {', '.join(NAMES)}")
    parser.add_argument("--write", action="store_true", help="full size; keep the outputs")
    parser.add_argument("--pages", action="store_true", help="execute nothing; write the pages")
    chosen = parser.parse_args()
    if not chosen.pages:
        execute(chosen.names, write=chosen.write)
    if chosen.pages or chosen.write:
        for name in chosen.names:
            print(markdown.write(name))


def execute(names: Sequence[str], *, write: bool) -> None:
    """Execute notebooks; an error in a cell ends the work."""
    import nbformat

    from notebooks.executing import executed, stripped

    os.environ[SMALL] = "" if write else "1"
    for name in names:
        path = FOLDER / f"{name}.ipynb"
        notebook = executed(path)
        if write:
            nbformat.write(stripped(notebook), path)
        print(f"{path.name}: {len(notebook.cells)} cells")


if __name__ == "__main__":
    main()
