"""Docstrings tell what is returned without its type, which Napoleon would take for the type."""

from __future__ import annotations

import re

from sphinx.application import Sphinx

RETURNS = re.compile(r"(?<=^Returns\n-------\n)(.+?)(?=\n\n|\n*\Z)", re.M | re.S)
NAPOLEON = 500  # its place among those that read docstrings


def setup(app: Sphinx) -> dict[str, bool]:
    """Read docstrings before Napoleon does, and after it."""
    app.connect("autodoc-process-docstring", _one_line, priority=NAPOLEON - 1)
    app.connect("autodoc-process-docstring", _no_type, priority=NAPOLEON + 1)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _one_line(*event: object) -> None:
    """Make what is returned one line, where Napoleon would see a value in each."""
    lines = _lines(event)
    text = RETURNS.sub(lambda found: " ".join(found[1].split()), "\n".join(lines))
    lines[:] = text.split("\n")


def _no_type(*event: object) -> None:
    """Name what is returned by what it is."""
    lines = _lines(event)
    lines[:] = [line.replace(":rtype:", ":returns:") for line in lines]


def _lines(event: tuple[object, ...]) -> list[str]:
    """Return the docstring of an event, which is changed in place."""
    lines = event[-1]
    assert isinstance(lines, list)
    return lines
