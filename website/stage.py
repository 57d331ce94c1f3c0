"""Gather the pages: those of docs/ and some from elsewhere, with links that hold on the site.

The pages are written for GitHub: links are relative paths in the repository. ``docs/README.md`` is
the front page, and its lists under ``## `` headings are the navigation.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import genattr

ROOT = Path(__file__).resolve().parents[1]
FRONT = "docs/README.md"
MOVED = {
    FRONT: "index.md",
    "README.md": "overview.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "THREATS.md": "threats.md",
    "benchmarks/README.md": "benchmarks.md",
    "benchmarks/mutants.md": "mutants.md",
}
LINK = re.compile(r"\]\((?!\w+:)([^)\s#]+)(#[^)\s]*)?\)")
SECTION = re.compile(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", re.M | re.S)
ENTRY = re.compile(r"^- \[(.+?)\]\(([^)#]+)\.md\)", re.M)
FUNCTIONS = "<!-- functions -->"


def stage(target: Path) -> None:
    """Write the site's sources into a folder, which is made anew."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(ROOT / "docs", target, ignore=shutil.ignore_patterns("*.md"))
    for source in [*sorted((ROOT / "docs").rglob("*.md")), *map(ROOT.joinpath, MOVED)]:
        name = source.relative_to(ROOT).as_posix()
        path = target / place(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(name, source.read_text(), target))


def place(name: str) -> str:
    """Return where a file of the repository stands on the site."""
    return MOVED.get(name) or (
        name.removeprefix("docs/") if name.startswith("docs/") else f"files/{name}"
    )


def page(name: str, text: str, target: Path) -> str:
    """Return a page with the site's links, the front page with its navigation."""
    text = LINK.sub(lambda link: f"]({_link(name, link[1], target)}{link[2] or ''})", text)
    text = text.replace(FUNCTIONS, functions())
    return text + navigation(text) if name == FRONT else text


def _link(name: str, link: str, target: Path) -> str:
    """Return a page's link to a file as a link on the site; files that are no pages go along."""
    meant = os.path.normpath(Path(name).parent / link)
    if not (ROOT / meant).is_file():
        return link
    moved = place(meant)
    if moved.startswith("files/"):
        (target / moved).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / meant, target / moved)
    return os.path.relpath(moved, Path(place(name)).parent)


def navigation(front: str) -> str:
    """Return the lists of the front page as the site's navigation."""
    return "".join(
        f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n"
        + "".join(f"{title} <{path}>\n" for title, path in ENTRY.findall(entries))
        + "```\n"
        for caption, entries in SECTION.findall(front)
    )


def functions() -> str:
    """Return the directives that describe each name of ``genattr``."""
    return "\n".join(map(_described, genattr.__all__))


def _described(name: str) -> str:
    kind = "autoclass" if isinstance(getattr(genattr, name), type) else "autofunction"
    return f"```{{eval-rst}}\n.. {kind}:: genattr.{name}\n```\n"
