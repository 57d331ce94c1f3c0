"""The pages of docs/how-to, followed to the letter: their files written, their commands run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import REPO
from tests.wheels import Installed, install

PAGES = REPO / "docs" / "how-to"
NAMED_FILE = re.compile(r"^`([\w./-]+)`[^\n]*:\n\n```(?:python|yaml)\n(.*?)^```$", re.M | re.S)
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
COPIED = (
    "genattr",
    "conf",
    "tests",
    "benchmarks",
    "website",
    "docs",
    "run.py",
    "Makefile",
    "*.toml",
    "*.md",
    "*.cff",
    ".pre*",
)


def files(page: str) -> dict[str, str]:
    """Return the files that a page shows, by path."""
    return dict(NAMED_FILE.findall((PAGES / page).read_text()))


def commands(page: str) -> list[str]:
    """Return the commands that a page gives."""
    blocks = CONSOLE.findall((PAGES / page).read_text())
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]


def write(folder: Path, page: str) -> list[Path]:
    """Write a page's files, none of which may exist."""
    paths = {folder / name: text for name, text in files(page).items()}
    assert not [path for path in paths if path.exists()]
    for path, text in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return list(paths)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this checkout whose .venv is the environment of the tests."""
    root = tmp_path_factory.mktemp("checkout")
    ignored = shutil.ignore_patterns("__pycache__")
    for source in (path for pattern in COPIED for path in REPO.glob(pattern)):
        if source.is_dir():
            shutil.copytree(source, root / source.name, ignore=ignored)
        else:
            shutil.copy(source, root)
    (root / ".venv").mkdir()
    (root / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    for stamp in (".ready", ".tools"):
        (root / ".venv" / stamp).touch()
    return root


def in_checkout(root: Path, command: str) -> str:
    """Run a command as in a checkout whose environment is active; return what it printed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=root, env=os.environ | {"PATH": path},
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


GROUPS = ("method", "filler", "metric", "classifier", "dataset")
RECIPES = {f"add-a-{group}.md": group for group in GROUPS} | {"add-an-inpainter.md": "filler"}


@pytest.fixture(params=RECIPES)
def followed(request: pytest.FixtureRequest, checkout: Path) -> Iterator[tuple[Path, str]]:
    """The copy with the files of one page, and the page; the files go afterwards."""
    page = request.param
    written = write(checkout, page)
    yield checkout, page
    shutil.rmtree(checkout / "outputs", ignore_errors=True)
    for path in written:
        path.unlink()


def test_every_page_has_a_test() -> None:
    assert {path.name for path in PAGES.glob("*.md")} == {
        *RECIPES,
        "bring-your-own.md",
        "compare-fillers.md",  # tests/test_pages.py
        "sweep.md",  # there too
        "from-python.md",
    }


@pytest.mark.parametrize(("page", "group"), RECIPES.items())
def test_a_recipe_is_a_class_a_yaml_and_a_test(page: str, group: str) -> None:
    code, conf, test = files(page)
    assert Path(code).parent == Path("genattr", group)
    assert Path(conf) == Path("conf", group, Path(code).stem + ".yaml")
    assert Path(test) == Path("tests", group, f"test_{Path(code).stem}.py")


@pytest.mark.slow
def test_a_recipe_works(followed: tuple[Path, str]) -> None:
    root, page = followed
    tested, linted, shown = commands(page)
    own = list(files(page).values())[2].count("def test_")
    passed = re.search(r"(\d+) passed", in_checkout(root, tested))
    assert int(passed[1]) >= own + 3  # the contract tests have found it as well
    in_checkout(root, linted)
    in_checkout(root, shown)
    assert len(list((root / "outputs").glob("*/contact_sheet.png"))) == 1


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(tmp_path_factory.mktemp("wheel"))


@pytest.mark.slow
def test_a_component_in_a_folder_of_ones_own_works(installed: Installed, tmp_path: Path) -> None:
    write(tmp_path, "bring-your-own.md")
    printed = []
    for command in commands("bring-your-own.md"):
        done = installed.shell(command, cwd=tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stderr[-3000:]}"
        printed.append(done.stdout)
    by_module, by_command, swept, searched = printed
    for output in (by_module, by_command, swept):
        assert "brightness · " in output
    assert "center · " in by_command
    assert re.search(r"power 1\b", swept)
    assert re.search(r"power 2\b", swept)
    assert "_target_: my_methods.Brightness" in searched


@pytest.mark.slow
def test_the_page_of_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.effect_noise((160, 120), 60).convert("RGB").save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in PYTHON.findall((PAGES / "from-python.md").read_text()):
        exec(block, names)
    assert names["boxed"]["localization/error"] in (0, 1)
    assert names["filled"].size == (160, 120)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]
