"""Code that is not ours, such as a user's network: its errors, and its outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any

import torch

from genattr.errors import TERMINATED, BadPhotoError, UserError, reason


@contextmanager
def staying(problem: str) -> Iterator[None]:
    """Turn the end of the program into a UserError, unless a signal asks for it."""
    try:
        yield
    except SystemExit as end:
        if end.code == TERMINATED:
            raise
        raise UserError(f"{problem} (sys.exit)") from end


@contextmanager
def telling(problem: str) -> Iterator[None]:
    """Turn any error of code that is not ours into a UserError: the problem, then its reason.

    Errors that are one already, a lack of memory, and the end that a signal asks for, stay as
    they are.
    """
    try:
        with staying(f"{problem}: it ends the program"):
            yield
    except (UserError, BadPhotoError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise UserError(f"{problem}: {reason(error)}") from error


def picked(outputs: Any, output: int | str | None, key: str) -> Any:
    """Return one of a network's outputs; a single one needs no name.

    Parameters
    ----------
    outputs
        A tensor, or a sequence, mapping or dataclass of them.
    output
        Position or name; None: there is only one.
    key
        The configuration's key of ``output``, for the message.

    Raises
    ------
    UserError
        If there are several, and none of that name; the message lists them.
    """
    values = named(outputs)
    if not values:
        return outputs
    for name in (output, str(output)):
        if name in values:
            return values[name]
    if len(set(map(id, values.values()))) == 1:
        return next(iter(values.values()))
    names = ", ".join(map(str, values))
    raise UserError(f"{key}={output}: no such output; there is {names}")


def named(outputs: Any) -> dict[Any, Any]:
    """Return several outputs by name, and by position if they have an order; empty: a tensor."""
    if isinstance(outputs, Mapping):
        return dict(outputs)
    if is_dataclass(outputs) and not isinstance(outputs, type):
        return {entry.name: getattr(outputs, entry.name) for entry in fields(outputs)}
    if isinstance(outputs, Sequence) and not isinstance(outputs, str):
        return dict(enumerate(outputs)) | dict(zip(_names(outputs), outputs, strict=False))
    return {}


def _names(outputs: Sequence[Any]) -> Sequence[str]:
    """Return the names in a named tuple; none in other sequences."""
    return outputs._fields if isinstance(outputs, tuple) and hasattr(outputs, "_fields") else ()
