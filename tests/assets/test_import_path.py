"""Python paths: the caller's folder counts, and foreseen mistakes are told in one line."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from genattr.assets import import_path
from genattr.errors import UserError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def test_the_callers_folder_is_searched(folder: Path) -> None:
    (folder / "pointed_package").mkdir()
    (folder / "pointed_package" / "inner.py").write_text(
        "class Kind:\n    @staticmethod\n    def double(x):\n        return 2 * x\n"
    )
    assert import_path.load("pointed_package.inner:Kind.double", "key")(4) == 8


def test_the_hash_follows_the_file(folder: Path) -> None:
    hashes = []
    for name, text in (
        ("pointed_a", "x = len"),
        ("pointed_b", "x = len"),
        ("pointed_c", "x = abs"),
    ):
        (folder / f"{name}.py").write_text(text)
        import_path.load(f"{name}:x", "key")
        hashes.append(import_path.source_hash(f"{name}:x"))
    assert hashes[0] == hashes[1] != hashes[2]
    import_path.load("math:sqrt", "key")
    assert import_path.source_hash("math:sqrt")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("math", "key=math: must look like package.module:name"),
        ("math:", "key=math:: must look like package.module:name"),
        (":sqrt", "key=:sqrt: must look like package.module:name"),
        ("./net.py:f", "key=./net.py:f: must look like package.module:name"),
        ("math:pi", "key=math:pi: a float cannot be called"),
        ("needy:f", "key=needy:f: needy needs no_such_thing, which is missing"),
        ("needy.more:f", "key=needy.more:f: needy.more needs no_such_thing, which is missing"),
    ],
)
def test_mistakes(folder: Path, path: str, told: str) -> None:
    (folder / "needy.py").write_text("import no_such_thing\n")
    with pytest.raises(UserError, match=f"^{re.escape(told)}$"):
        import_path.load(path, "key")


def test_an_absent_module_or_name_is_told_with_where_it_was_looked_for(folder: Path) -> None:
    with pytest.raises(UserError, match=f"no module absent, neither installed nor in {folder}$"):
        import_path.load("absent.module:f", "key")
    (folder / "present.py").touch()
    with pytest.raises(UserError, match=f"no f in {folder}/present.py$"):
        import_path.load("present:f", "key")


def test_what_goes_wrong_inside_keeps_its_traceback(folder: Path) -> None:
    (folder / "faulty.py").write_text("1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        import_path.load("faulty:f", "key")
