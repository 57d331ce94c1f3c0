"""Build the site: ``python -m website <folder>``."""

from __future__ import annotations

import sys
from pathlib import Path

from sphinx.cmd.build import build_main

from website.stage import ROOT, stage


def main(site: Path) -> int:
    """Build the site into a folder; return the exit code, 1 after any warning."""
    sources = site.with_name(f"{site.name}-sources")
    stage(sources)
    folders = ["-c", str(ROOT / "website"), "-d", str(sources / ".doctrees"), str(sources)]
    return build_main(["-q", "-W", "--keep-going", "-b", "html", *folders, str(site)])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
