"""What surrounds every call of the library: the house's settings, and errors about arguments."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
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
            with options.ours(), _torch(), _talk():
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
        with torch.inference_mode(False), torch.enable_grad(), _without_autocast():
            yield
    finally:
        torch.set_default_dtype(dtype)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        for backend, value in zip(backends, allowed, strict=True):
            backend.allow_tf32 = value


@contextmanager
def _without_autocast() -> Iterator[None]:
    with ExitStack() as stack:
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield


@contextmanager
def _talk() -> Iterator[None]:
    """Print none of a command's lines, and let warnings speak of arguments."""
    before, quiet = logging.getLogRecordFactory(), console.console.quiet

    def record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made = before(*args, **kwargs)
        if made.name.startswith("genattr."):
            made.msg, made.args = of_arguments(made.getMessage()), ()
        return made

    logging.setLogRecordFactory(record)
    console.console.quiet = True
    try:
        yield
    finally:
        console.console.quiet = quiet
        logging.setLogRecordFactory(before)
