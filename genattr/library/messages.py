"""Messages of the command line, turned into messages about arguments."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

GROUPS = "classifier|dataset|filler|method|segmentation|tracking|selection|sensitivity|metric"
NAMES = {"classifier": "model", "dataset": "image"}  # of groups as arguments
WORDS = {"null": "None", "true": "True", "false": "False"}
START = r"(?<![\w./@-])"  # not inside a path
END = r"(?=[:.?)]?(?:\s|$)|[,;])"

Rule = tuple[str, str | Callable[[re.Match[str]], str]]


def of_arguments(text: str) -> str:
    """Tell the same of arguments: ``method.patch_size=0`` is ``patch_size=0``."""
    for pattern, replacement in RULES:
        text = re.sub(pattern, replacement, text)
    return text


def _quoted(match: re.Match[str]) -> str:
    """Write a choice as an argument: ``filler=blur`` is ``filler="blur"``."""
    key, value = match["key"], match["value"]
    value = WORDS.get(value, value)
    is_plain = value in ("None", "True", "False") or "(" in value
    return f"{NAMES.get(key, key)}={value}" if is_plain else f'{NAMES.get(key, key)}="{value}"'


def _listed(match: re.Match[str]) -> str:
    names = (name.strip() for name in match["values"].split(","))
    return f"={[name for name in names if name]}".replace("'", '"')


RULES: Sequence[Rule] = (
    (r'; quote it: "[^"]*"', ""),
    (rf"{START}({GROUPS})=([\w-]+) (?=needs|takes)", r"\1/\2 "),
    (rf"{START}target=(?:label|predicted){END}", "target=None"),
    (r"(?<!\w)\w+@(?:\w+\.)*(\w+)=", r"\1="),
    (rf"{START}~?(?:{GROUPS})(?:\.\w+)*\.(\w+)(?![\w/])", r"\1"),
    (r"=\[(?P<values>[A-Za-z_][\w, -]*|)\]", _listed),
    (r"^(?P<key>\w+)=(?P<value>[A-Za-z/~<.][^:]*)(?=: )", _quoted),
    (rf"{START}(?P<key>[a-z_0-9]+)=(?P<value>[A-Za-z/~<][^\s,;\"'\[\]]*?){END}", _quoted),
    (r"no photo of dataset given has any: give them", "the image has none: give boxes="),
    (r"\bnull\b", "None"),
    (r"no such (?:option|key)\b", "no such argument"),
)
