"""Mutants are what they say, and the functions that they change run their code."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from benchmarks.mutants import swap
from benchmarks.mutations import Mutant, changed_functions, mutants

SOURCE = '''"""A docstring with 1 and <."""
from math import inf

LIMIT = 3


class Box:
    """No 2."""

    def holds(self, width: "int < 4") -> bool:
        """Return 5."""
        if width == -inf:
            raise ValueError("less than 6")
        return width < LIMIT
'''


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "box.py"
    path.write_text(SOURCE)
    return path


def one(file: Path, old: str, new: str) -> Mutant:
    (mutant,) = [each for each in mutants(str(file)) if (each.old, each.new) == (old, new)]
    return mutant


def test_one_place_is_changed_at_a_time(file: Path) -> None:
    found = {(each.line, each.old, each.new) for each in mutants(str(file))}
    assert found == {
        (4, "3", "4"), (4, "3", "(2)"), (12, "==", "!="), (12, "-inf", "inf"),
        (14, "width < LIMIT", "None"), (14, "<", "<="), (14, "<", ">="),
    }  # fmt: skip


def test_names_tell_mutants_apart_and_do_not_count_lines(file: Path) -> None:
    names = [each.name for each in mutants(str(file))]
    file.write_text(SOURCE.replace("LIMIT = 3", "\n\nLIMIT = 3"))
    assert [each.name for each in mutants(str(file))] == names
    assert len({*names}) == len(names)


def test_what_runs_at_import_is_no_function(file: Path) -> None:
    assert changed_functions(one(file, "3", "4")) is None
    ((before, after),) = changed_functions(one(file, "<", "<="))
    assert before.co_name == after.co_name == "holds"


def test_functions_run_the_code_of_a_mutant(file: Path) -> None:
    spec = importlib.util.spec_from_file_location("box", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    box = module.Box()
    assert not box.holds(3)
    swap(changed_functions(one(file, "<", "<=")))
    assert box.holds(3)
