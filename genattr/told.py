"""What is told and kept: without credentials, and without what moves a terminal's cursor."""

from __future__ import annotations

import logging
import os
import re
import unicodedata
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

STARS = "***"
KEY = r"[\w.@+~]*(?:passw(?:or)?d|secret|token|api_?key|access_?key|credential)\w*"
ADDRESS = re.compile(r"((?://|\w:/)[^/@\s:]*:)(?!\d{1,5}(?:[/?#]|$))\S*(?=@)")  # user:password@
USER_ALONE = re.compile(r"(https?://)[^/@\s:]+(?=@)", re.I)  # a token in the place of a user
NONE = r"(?!null\b|no such\b|\s|$)"  # what stands behind a key and is no value: also our own words
VALUE = re.compile(rf"((?<![\w./]){KEY}['\"]?\s*[=:]\s*){NONE}[^\s,&]+", re.I)
WHOLE = re.compile(rf"^(\s*(?:- )?['\"]?{KEY}\s*[=:]\s*){NONE}.+$", re.I | re.M)
SIGNED = re.compile(r"([?&](?:sig|signature|x-(?:amz|goog)-[\w-]+)=)[^\s&'\"]+", re.I)  # addresses
HEADER = re.compile(
    r"(\bauthorization['\"]?\s*[=:]\s*['\"]?(?:\w+\s+)?)[^\s'\",]+", re.I
)  # of requests
SHAPES = re.compile(r"\b(hf_|gh[opsu]_|github_pat_|glpat-|xox[bp]-|sk-)[\w-]{16,}")  # of services
FROM_OUTSIDE = (
    *("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD"),
    *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
)  # environment variables with credentials
SHORTEST = 6  # of a credential from there that is looked for in texts
UNSHOWN = ("C", "Zl", "Zp")  # categories of characters that move a cursor, or show nothing


def without_secrets(text: str) -> str:
    """Put stars for passwords in addresses, values of keys such as ``token``, and the like."""
    for pattern in (ADDRESS, USER_ALONE, WHOLE, VALUE, SIGNED, HEADER, SHAPES):
        text = pattern.sub(rf"\g<1>{STARS}", text)
    for name in FROM_OUTSIDE:
        value = os.environ.get(name, "")
        text = text.replace(value, STARS) if len(value) >= SHORTEST else text
    return text


def without_secrets_in(value: Any, key: str = "") -> Any:
    """Put stars into the texts of a configuration, at any depth."""
    if isinstance(value, dict):
        return {name: without_secrets_in(one, str(name)) for name, one in value.items()}
    if isinstance(value, list):
        return [without_secrets_in(one, key) for one in value]
    if isinstance(value, str):
        return STARS if re.fullmatch(KEY, key, re.I) else without_secrets(value)
    return value


def clean(path: Path) -> None:
    """Put stars into a text file that somebody else wrote, if it is there and needs them."""
    if not path.is_file():
        return
    text = path.read_text(encoding="utf-8")
    if (cleaned := without_secrets(text)) != text:
        path.write_text(cleaned, encoding="utf-8")


def visible(text: str) -> str:
    """Write what moves a cursor or shows nothing as Python does, but for ends of lines and tabs."""
    if text.isprintable():
        return text
    return "".join(ascii(one)[1:-1] if _is_unshown(one) else one for one in text)


def _is_unshown(character: str) -> bool:
    return character not in "\n\t" and unicodedata.category(character).startswith(UNSHOWN)


def one_line(text: str) -> str:
    """Return a text for one line of a terminal or a log."""
    shown = visible(without_secrets(text))
    return shown.replace("\n", "\\n").replace("\t", "\\t")


@cache
def in_logs() -> None:
    """Have all that genattr and Hydra, which indents by tabs, log from now on in this form."""
    made_before = logging.getLogRecordFactory()

    def record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made = made_before(*args, **kwargs)
        if str(made.name).startswith(("genattr", "hydra")):
            made.msg, made.args = one_line(made.getMessage().lstrip("\t")), ()
        return made

    logging.setLogRecordFactory(record)


class Once(logging.Filter):
    """Lets each message of genattr pass once."""

    def __init__(self) -> None:
        super().__init__()
        self.passed: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("genattr"):
            return True
        message = record.getMessage()
        is_new = message not in self.passed
        self.passed.add(message)
        return is_new


@contextmanager
def once() -> Iterator[None]:
    """Tell once meanwhile what many components log alike."""
    with ExitStack() as stack:
        for handler in logging.root.handlers:
            told = Once()
            handler.addFilter(told)
            stack.callback(handler.removeFilter, told)
        yield
