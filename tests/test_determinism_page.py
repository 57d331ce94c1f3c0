"""docs/determinism.md has a row for each method, and its cells name tests that exist."""

from __future__ import annotations

import re

from tests.conftest import REPO
from tests.contract.options import options

PAGE = (REPO / "docs" / "determinism.md").read_text()
ROW = re.compile(r"^\| `([\w-]+)` \|(.*) \|$", re.M)
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_every_method_has_a_row() -> None:
    assert [name for name, _ in ROW.findall(PAGE)] == options("method")


def test_every_cell_names_a_test_below_the_table() -> None:
    letters = re.findall(r"^- ([A-Z]): ", PAGE, re.M)
    cells = [cell.strip() for _, row in ROW.findall(PAGE) for cell in row.split("|")]
    named = {cell.split()[-1] for cell in cells if cell != "–"}
    assert named == set(letters)


def test_every_named_test_exists() -> None:
    named = NAMED.findall(PAGE)
    assert named
    for path, name in named:
        assert f"def {name}(" in (REPO / path).read_text(), f"{path}::{name}"
