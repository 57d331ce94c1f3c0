"""The papers that come along with the code agree with it and with each other."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import genattr
from tests.conftest import REPO

PAGES = sorted([*REPO.glob("*.md"), *REPO.glob("docs/**/*.md")])
INSTALLING = (REPO / "docs" / "installing.md").read_text()
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
CHECK = yaml.safe_load((REPO / ".github" / "workflows" / "check.yaml").read_text())


def recipe(folder: Path, *arguments: str) -> str:
    """Return what make would run where nothing is installed yet."""
    command = ["make", "--dry-run", "--silent", f"VENV={folder}/venv", *arguments]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_citation_names_this_version_and_the_paper() -> None:
    citation = yaml.safe_load((REPO / "CITATION.cff").read_text())
    assert citation["version"] == genattr.__version__
    (paper,) = citation["references"]
    assert [author["family-names"] for author in paper["authors"]] == ["Agarwal", "Nguyen"]
    assert paper["title"] in " ".join((REPO / "README.md").read_text().split())


def test_the_changelog_begins_with_this_version() -> None:
    versions = re.findall(r"^## (\S+)", (REPO / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == genattr.__version__


def test_hooks_run_what_make_lint_runs() -> None:
    hooks = yaml.safe_load((REPO / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    recipe = (REPO / "Makefile").read_text().partition("\nlint:")[2]
    linted = re.findall(r"\$\(BIN\)/([^\n]+)", recipe)
    entries = [hook["entry"].replace(" --force-exclude", "") for hook in hooks]
    assert entries == [f".venv/bin/{command.removesuffix(' .')}" for command in linted]


def test_tools_that_the_pages_name_are_in_the_dev_extra() -> None:
    names = {re.split(r"\W", name)[0] for name in PROJECT["optional-dependencies"]["dev"]}
    assert {"pytest", "ruff", "mypy", "pre", "hatchling"} <= names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    gone = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not gone


def test_running_needs_no_tools_and_testing_does(tmp_path: Path) -> None:
    assert "[dev]" not in recipe(tmp_path, "run")
    assert "--editable .\n" in recipe(tmp_path, "run")
    for target in ("test", "lint", "install"):
        assert "--editable '.[dev]'\n" in recipe(tmp_path, target)


def test_make_takes_pytorch_from_the_index_that_the_pages_name(tmp_path: Path) -> None:
    line = "pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu"
    words = set(line.split())
    assert words - {"pip"} < set(recipe(tmp_path, "run", "TORCH=cpu").split())
    assert "--index-url" not in recipe(tmp_path, "run", "TORCH=")
    assert line in (REPO / "README.md").read_text()
    assert line in INSTALLING


def test_classifiers_name_the_python_that_must_pass() -> None:
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    must = CHECK["jobs"]["test"]["continue-on-error"]
    assert must == f"${{{{ matrix.python != '{named[0]}' }}}}"
    assert len(named) == 1
    assert set(CHECK["jobs"]["test"]["strategy"]["matrix"]["python"]) > set(named)


def test_the_workflow_runs_lint_and_all_checks(tmp_path: Path) -> None:
    told = recipe(tmp_path, "checks").split()
    makefile = (REPO / "Makefile").read_text()
    (checks,) = re.findall(r"^CHECKS := (.*)$", makefile, re.MULTILINE)
    assert told == ["echo", "lint", *checks.split()]
    targets = re.findall(r"^([a-z-]+):.* ## ", makefile, re.MULTILINE)
    assert set(checks.split()) <= set(targets)


def test_checks_install_extras_that_there_are(tmp_path: Path) -> None:
    lines = [shlex.split(line) for line in recipe(tmp_path, "check-all").splitlines()]
    words = [word for line in lines for word in line]
    wanted = {name for word in words if word[:2] == ".[" for name in word[2:-1].split(",")}
    assert {"dev", "tensorflow"} <= wanted <= set(PROJECT["optional-dependencies"])


def test_every_extra_is_explained() -> None:
    rows = re.findall(r"^\| (`[^|]+`) \|", INSTALLING, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([\w-]+)`", row)}
    assert set(PROJECT["optional-dependencies"]) <= named


def test_files_to_bring_to_a_machine_without_a_network_are_named() -> None:
    texts = [path.read_text() for path in REPO.glob("conf/**/*.yaml")]
    found = [re.findall(r"RemoteFile\n +url: \S+/(\S+)", text) for text in texts]
    names = {name for names in found for name in names}
    assert len(names) > 3
    assert not {name for name in names if f"`{name}`" not in INSTALLING}


def test_the_image_gets_the_files_that_it_is_built_from() -> None:
    sent = set(re.findall(r"^!(\S+)", (REPO / ".dockerignore").read_text(), re.MULTILINE))
    dockerfile = (REPO / "Dockerfile").read_text()
    lines = re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, re.MULTILINE)
    copied = {name for line in lines for name in line.split()}
    assert copied == sent
    assert all((REPO / name).exists() for name in copied)
