"""Types, ranges, values, docstrings and comments in words, for tables in Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from inspect import getdoc
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from omegaconf import DictConfig, OmegaConf

from genattr import parameters

WORDS = {
    bool: "true or false", int: "whole number", float: "number", str: "text", dict: "mapping",
    NoneType: "null",
}  # fmt: skip
PARAMETERS = re.compile(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-{3,}$|\Z)", re.M | re.S)
PARAMETER = re.compile(r"^(\S[^\n]*)\n((?:(?:    [^\n]*)?\n)*)", re.M)
COMMENTED = re.compile(r"( *)([\w.-]+):[^#]*(?:# (.+))?")
SHOWN = 6  # values of a list; a longer one is told by its length
LOCAL = "${repo:"  # stands in paths of this machine


def kind(hint: Any) -> str:
    """Return a type in words."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return kind(parts[0])
    if origin in (Union, UnionType):
        words = dict.fromkeys(kind(part) for part in parts if part is not NoneType)
        return " or ".join(words) + (", or null" if NoneType in parts else "")
    if origin is Literal:
        return "word"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "mapping"
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return f"list of {kind(parts[0])}s"
    return WORDS.get(hint, "any value")


def allowed(hint: Any) -> str:
    """Return a type's range in words; empty: any value of the type."""
    if get_origin(hint) is Literal:
        return choices(get_args(hint))
    return parameters.allowed(hint).removesuffix(", or null")  # the type says it


def choices(values: Sequence[Any]) -> str:
    """Return the allowed words."""
    return " or ".join(f"`{value}`" for value in values)


def default(node: DictConfig, name: str) -> str:
    """Return a key's default as YAML has it, with what an interpolation gives."""
    raw = OmegaConf.to_container(node, resolve=False)[name]  # type: ignore[index, call-overload]
    if not isinstance(raw, str) or "${" not in raw:
        return value(raw)
    return f"`{raw}`" if LOCAL in raw else f"{value(node[name])}, from `{raw}`"


def value(plain: Any) -> str:
    """Return a value in YAML's words."""
    if isinstance(plain, list):
        many = f"{len(plain)} values, the first is `{plain[0]}`" if len(plain) > SHOWN else ""
        return many or f"`[{', '.join(map(str, plain))}]`"
    if plain is None or isinstance(plain, bool):
        return f"`{'null' if plain is None else str(plain).lower()}`"
    return f"`{plain}`" if str(plain) else '`""`'


def meanings(target: type) -> dict[str, str]:
    """Return what the docstrings of a class and its bases tell of each parameter.

    What tells no more than the meaning of None goes on with the text of the base.
    """
    found: dict[str, str] = {}
    for owner in target.__mro__:
        for name, text in _documented(owner):
            if name not in found:
                found[name] = text
            elif found[name].startswith("`null`"):
                found[name] = f"{text} {found[name]}"
    return found


def _documented(owner: type) -> list[tuple[str, str]]:
    """Return the parameters in a class's own docstring, with their texts."""
    doc = getdoc(owner) if "__doc__" in vars(owner) else ""
    sections = "\n".join(PARAMETERS.findall(f"{doc}\n"))
    found = PARAMETER.findall(sections)
    return [(name, prose(text)) for listed, text in found for name in listed.split(", ")]


def summary(target: type) -> str:
    """Return the first paragraph of a class's docstring."""
    return prose((getdoc(target) or "").partition("\n\n")[0])


def prose(text: str) -> str:
    """Return a docstring's text as a line of Markdown, with YAML's word for None."""
    line = " ".join(text.split()).replace("``", "`")
    return re.sub(r"(?<![`\w])None(?![`\w])", "`null`", line)


def comments(path: Path) -> dict[str, str]:
    """Return the comments behind the keys of a YAML file, ``key`` or ``key.inner``."""
    found, outer = {}, ""
    for line in filter(None, map(COMMENTED.fullmatch, path.read_text().splitlines())):
        outer = outer if line[1] else line[2]
        found[f"{outer}.{line[2]}" if line[1] else line[2]] = line[3] or ""
    return found


def head(path: Path) -> str:
    """Return the comment that a YAML file begins with, as one line."""
    found: list[str] = []
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            break
        found += [line.removeprefix("# ")] if "@package" not in line else []
    return " ".join(found)
