"""Errors that are expected: each is reported in one line, without a traceback."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from logging import Logger

TERMINATED = 143  # exit code of a process that was asked to end (SIGTERM)


class UserError(Exception):
    """A wrong option, value or path; the message names it and says what would work."""


class BadPhotoError(Exception):
    """A photo that cannot be read; the run reports it by name, counts it and continues."""


def require(condition: bool, message: str) -> None:
    """Raise UserError with the message unless the condition holds."""
    if not condition:
        raise UserError(message)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the process on a UserError with its one line; its traceback stands before if wanted."""
    try:
        yield
    except UserError as error:
        if wants_tracebacks():
            traceback.print_exception(error)
        raise SystemExit(f"genattr: {error}") from None


def wants_tracebacks() -> bool:
    """Whether the user asks for tracebacks as Hydra has it, by ``HYDRA_FULL_ERROR=1``."""
    return os.environ.get("HYDRA_FULL_ERROR", "0") not in ("", "0")


def reason(error: Exception) -> str:
    """Describe an error, or its cause, in one line: its class, and its text if it has any."""
    if isinstance(error, UserError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    text, name = first_line(error), type(error).__name__
    if "TorchScript" in text:  # whose errors begin with the code
        text = str(error).strip().splitlines()[-1].strip()
    return name if text == name else f"{name}: {text}"


def first_line(error: Exception) -> str:
    """Shorten an error's text to its first two lines, joined."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines else type(error).__name__


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """Suggest similar names, for the end of a message: "; did you mean sp?"; empty: none is."""
    from difflib import get_close_matches

    ignoring_case = {known.lower(): known for known in names}
    close = get_close_matches(name.lower(), ignoring_case, n=3)
    return f"; did you mean {', '.join(ignoring_case[each] for each in close)}?" if close else ""


def abridged(names: Sequence[str]) -> str:
    """Join the first three names and count the others, for messages."""
    joined = ", ".join(names[:3])
    return f"{joined} and {len(names) - 3} more" if len(names) > 3 else joined


@cache
def warn_once(log: Logger, line: str) -> None:
    """Log a warning; the same line is told once a process."""
    log.warning("%s", line)
