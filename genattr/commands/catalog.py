"""What the options of ``conf/`` say of themselves, read without importing their classes.

An option's sentence is the first of the comment at the top of its file, before "Needs", or else of
its class's docstring. What it needs stands in its class (``extra``, ``fetches``, ``wants_gpu``);
and in its file: a ``path``, ``root`` or ``name`` that is null has to be given.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from genattr import config

GIVEN = ("path", "root", "name")  # keys that have no default where they are null
HIDDEN = ("hydra",)  # groups of Hydra's own


@dataclass(frozen=True)
class Option:
    """An option of a group, by its file."""

    group: str
    file: Path

    @property
    def name(self) -> str:
        """As it is typed behind ``group=``."""
        return self.file.stem

    @cached_property
    def sentence(self) -> str:
        """What it is."""
        return _comment(self.file.read_text(encoding="utf-8")) or _first(self._docstring)

    @property
    def needs(self) -> list[str]:
        """What has to be there before it works, for people."""
        found = []
        extra = str(self._said("extra", ""))
        if extra and not is_installed(extra):
            found.append(f"pip install 'genattr[{extra}]'")
        found += [f"{self._key}.{key}=..." for key in GIVEN if self._nodes.get(key, "") is None]
        if self._said("fetches", False):
            found.append("fetches weights at first use")
        if self._said("wants_gpu", False):
            found.append("slow without a GPU")
        return found

    @property
    def has_assets(self) -> bool:
        """Whether its class says which weights it loads."""
        body = [] if self._class is None else self._class.body
        return any(isinstance(node, ast.FunctionDef) and node.name == "assets" for node in body)

    @cached_property
    def _node(self) -> tuple[str, Mapping[str, Any]]:
        """The key and the parameters of its component, with those that it takes over."""
        return next(_targets(self._merged, self.group), (self.group, {}))

    @property
    def _key(self) -> str:
        return self._node[0]

    @property
    def _nodes(self) -> Mapping[str, Any]:
        return self._node[1]

    @cached_property
    def _merged(self) -> dict[str, Any]:
        values = yaml.safe_load(self.file.read_text(encoding="utf-8")) or {}
        named = [entry for entry in values.get("defaults", []) if isinstance(entry, str)]
        bases = [base for base in named if "@" not in base and base != "_self_"]
        merged: dict[str, Any] = {}
        for base in bases:
            file = self.file.with_name(f"{base}.yaml")
            if file.is_file():
                merged |= Option(self.group, file)._merged
        return merged | values

    @cached_property
    def _class(self) -> ast.ClassDef | None:
        module, _, name = str(self._nodes.get("_target_", "")).rpartition(".")
        spec = find_spec(module) if module else None
        if spec is None or spec.origin is None:
            return None
        tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
        kinds = (node for node in tree.body if isinstance(node, ast.ClassDef))
        return next((node for node in kinds if node.name == name), None)

    @property
    def _docstring(self) -> str:
        return "" if self._class is None else ast.get_docstring(self._class) or ""

    def _said(self, attribute: str, default: object) -> object:
        """Return what the class says of an attribute, without importing it."""
        body = [] if self._class is None else self._class.body
        for node in (one for one in body if isinstance(one, ast.AnnAssign)):
            if ast.unparse(node.target) == attribute and isinstance(node.value, ast.Constant):
                return node.value.value
        return default


def options(folders: Sequence[Path]) -> dict[str, list[Option]]:
    """Return the options by group; those of the first folders hide others of their names.

    Parameters
    ----------
    folders
        Such as ``conf/``, and folders of the user's own.
    """
    found: dict[tuple[str, str], Option] = {}
    for folder in reversed(folders):
        for file in folder.glob("*/*.yaml"):
            if file.parent.name not in HIDDEN:
                found[file.parent.name, file.stem] = Option(file.parent.name, file)
    groups: dict[str, list[Option]] = {}
    for (group, _), option in sorted(found.items(), key=lambda pair: pair[0]):
        groups.setdefault(group, []).append(option)
    return groups


def folders(own: Path | None) -> list[Path]:
    """Return where options are: in the user's own folder, if there is one, and in ``conf/``."""
    return [config.folder()] if own is None else [own, config.folder()]


def extras() -> dict[str, list[str]]:
    """Return the packages that each extra brings, by its name; not those for working on genattr."""
    found: dict[str, list[str]] = {}
    for line in _requirements():
        match = re.search(r"""^([\w.-]+).*extra\s*==\s*['"]([\w-]+)['"]""", line)
        if match and match[2] != "dev":
            found.setdefault(match[2], []).append(match[1])
    return found


def is_installed(extra: str) -> bool:
    """Whether all packages of an extra are installed."""
    return all(installed(package) is not None for package in extras().get(extra, [extra]))


def installed(package: str) -> str | None:
    """Return the version of a package; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _requirements() -> list[str]:
    try:
        return requires("genattr") or []
    except PackageNotFoundError:
        return []


def _comment(text: str) -> str:
    """Return the first sentence of the comment that a file begins with."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#") or line.startswith("# Needs"):
            break
        if not line.startswith("# @package"):
            lines.append(line.lstrip("# "))
    return _first(" ".join(lines))


def _first(text: str) -> str:
    """Return the first sentence of a text, in one line and without its full stop."""
    paragraph = " ".join(text.partition("\n\n")[0].replace("``", "").split())
    return re.split(r"(?<=[^.\s]{2})\.\s+(?=[A-Z])", paragraph)[0].rstrip(".")


def _targets(node: Any, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the nodes of components with their keys, the outermost first."""
    if not isinstance(node, dict):
        return
    if "_target_" in node:
        yield key, node
        return
    for name, inside in node.items():
        yield from _targets(inside, key if name == key else f"{key}.{name}")
