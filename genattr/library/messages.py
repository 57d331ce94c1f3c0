"""Messages of the command line, turned into messages about arguments."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches

GROUPS = "classifier|dataset|filler|method|segmentation|tracking|selection|sensitivity"
NAMES = {"classifier": "model", "dataset": "image", "metric": "metric"}  # of groups as arguments
WORDS = {"null": "None", "true": "True", "false": "False"}
START = r"(?<![\w./@-])~?"
END = r"(?=[\s,;:)?]|\.\s|\.?$)"

Rule = tuple[str, str | Callable[[re.Match[str]], str]]


def of_arguments(text: str) -> str:
    """Tell the same of arguments: ``method.patch_size=0`` is ``patch_size=0``."""
    for pattern, replacement in RULES:
        text = re.sub(pattern, replacement, text)
    return text


def meant(name: str, names: Sequence[str]) -> str:
    """Return the end of a message that suggests similar names; empty if there are none."""
    close = get_close_matches(name, names, n=3)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _quoted(match: re.Match[str]) -> str:
    """Write a choice as an argument: ``filler=blur`` is ``filler="blur"``."""
    key, value = match["key"], match["value"]
    value = WORDS.get(value, value)
    is_word = value not in WORDS.values()
    return f'{NAMES.get(key, key)}="{value}"' if is_word else f"{NAMES.get(key, key)}={value}"


def _listed(match: re.Match[str]) -> str:
    names = ", ".join(f'"{name.strip()}"' for name in match["values"].split(",") if name.strip())
    return f"{match['key']}=[{names}]"


RULES: Sequence[Rule] = (
    (r'; quote it: "[^"]*"', ""),
    (rf"{START}(classifier|dataset|filler)=(\w+) needs ", r"\1/\2 needs "),
    (rf"{START}target=(label|predicted){END}", "target=None"),
    (r"\b(\w+)@(?:\w+\.)*(\w+)=", r"\2="),
    (rf"{START}(?:(?:{GROUPS})|metric\.\w+)(?:\.\w+)*\.(\w+)(?![\w/])", r"\1"),
    (rf"{START}(?P<key>metric|target)=\[(?P<values>[\w, -]*)\]", _listed),
    (rf"{START}(?P<key>[a-z_0-9]+)=(?P<value>[A-Za-z][\w-]*){END}", _quoted),
    (r"\bnull\b", "None"),
    (r"no such (?:option|key)\b", "no such argument"),
)
