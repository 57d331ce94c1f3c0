"""What surrounds every call of the library: the house's settings, and errors about arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch

from genattr import console
from genattr.errors import BadPhotoError, UserError
from genattr.library import options
from genattr.library.messages import of_arguments

P = ParamSpec("P")
T = TypeVar("T")


class ArgumentError(UserError, ValueError):
    """A wrong argument; the message names it and says what would work."""


def door(function: Callable[P, T]) -> Callable[P, T]:
    """Make a function one of the library's: errors speak of arguments, and all stays as it was."""

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            with options.ours(), _torch(), _quiet():
                return function(*args, **kwargs)
        except (UserError, BadPhotoError) as error:
            raise ArgumentError(of_arguments(str(error))) from error.__cause__

    return called


@contextmanager
def _torch() -> Iterator[None]:
    """Compute as a command does, and leave PyTorch's settings as they were."""
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    backends: tuple[Any, ...] = (torch.backends.cudnn, torch.backends.cuda.matmul)
    allowed = [backend.allow_tf32 for backend in backends]
    torch.set_default_dtype(torch.float32)
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        torch.set_default_dtype(dtype)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        for backend, value in zip(backends, allowed, strict=True):
            backend.allow_tf32 = value


@contextmanager
def _quiet() -> Iterator[None]:
    """Print none of a command's lines."""
    before, console.console.quiet = console.console.quiet, True
    try:
        yield
    finally:
        console.console.quiet = before
