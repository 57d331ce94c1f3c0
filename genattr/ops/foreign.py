"""Code that is not ours, such as a user's network: its errors, and its outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from math import isnan
from typing import Any

import torch
from torch import Tensor

from genattr.errors import TERMINATED, BadPhotoError, UserError, abridged, reason, require

DEVICES = ("cpu", "cuda")  # of autocast
SLACK = 1e-3  # of a pixel beyond black and white


@contextmanager
def as_before() -> Iterator[None]:
    """Put PyTorch's settings of the process back afterwards, whatever other code makes of them."""
    before = _settings()
    try:
        yield
    finally:
        _set_back(before)


@contextmanager
def staying(problem: str) -> Iterator[None]:
    """Turn the end of the program into a UserError, unless a signal asks for it.

    PyTorch's settings of the process are as before afterwards.
    """
    try:
        with as_before():
            yield
    except SystemExit as end:
        if end.code == TERMINATED:
            raise
        raise UserError(f"{problem} (sys.exit)") from end


def _settings() -> list[Any]:
    """Return the settings of PyTorch that results depend on."""
    return [get() for get, _ in SETTINGS]


def _set_back(before: Sequence[Any]) -> None:
    """Set back what has changed."""
    for (get, put), value in zip(SETTINGS, before, strict=True):
        if get() != value:
            put(value)


def _put_device(device: torch.device) -> None:
    torch.set_default_device(None if device == torch.device("cpu") else device)


def _casts() -> list[tuple[bool, torch.dtype]]:
    return [(torch.is_autocast_enabled(at), torch.get_autocast_dtype(at)) for at in DEVICES]


def _put_casts(casts: Sequence[tuple[bool, torch.dtype]]) -> None:
    for device, (is_on, dtype) in zip(DEVICES, casts, strict=True):
        torch.set_autocast_enabled(device, is_on)
        torch.set_autocast_dtype(device, dtype)


def _flags() -> list[bool]:
    return [getattr(backend, name) for backend, name in FLAGS]


def _put_flags(flags: Sequence[bool]) -> None:
    for (backend, name), value in zip(FLAGS, flags, strict=True):
        setattr(backend, name, value)


FLAGS: Sequence[tuple[Any, str]] = (
    (torch.backends.cuda.matmul, "allow_tf32"),
    (torch.backends.cudnn, "allow_tf32"),
    (torch.backends.cudnn, "benchmark"),
    (torch.backends.cudnn, "deterministic"),
    (torch.backends.mkldnn, "enabled"),
)
Setting = tuple[Callable[[], Any], Callable[[Any], Any]]
SETTINGS: Sequence[Setting] = (
    (torch.get_default_device, _put_device),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (_flags, _put_flags),
    (_casts, _put_casts),
)


@contextmanager
def telling(problem: str) -> Iterator[None]:
    """Turn any error of code that is not ours into a UserError: the problem, then its reason.

    Errors that are one already, a lack of memory, and the end that a signal asks for, stay as
    they are. PyTorch's settings of the process are as before afterwards.
    """
    try:
        with staying(f"{problem}: it ends the program"):
            yield
    except (UserError, BadPhotoError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise UserError(f"{problem}: {reason(error)}") from error


@contextmanager
def about(photos: Callable[[], Sequence[str]]) -> Iterator[None]:
    """Add to a UserError which photos are worked on, unless it names one of them."""
    try:
        yield
    except UserError as error:
        names = photos()
        if type(error) is not UserError or not names or any(name in str(error) for name in names):
            raise
        told = f"{error} (photo {abridged(names)})"
        raise UserError(told) from error.__cause__


def oddity(output: Any, shape: Sequence[int], device: torch.device) -> str:
    """Say what an output is if it is no plain tensor of floats; empty if it is one.

    Parameters
    ----------
    shape
        That it should have.
    device
        Where it should be.
    """
    if not isinstance(output, Tensor):
        return type(output).__name__
    odd = unlike_numbers(output, device)
    if not odd and tuple(output.shape) != tuple(shape):
        return str(tuple(output.shape))
    return odd if odd or output.is_floating_point() else f"numbers of {output.dtype}"


def unlike_numbers(output: Tensor, device: torch.device) -> str:
    """Say what a tensor is if its numbers do not lie there plainly; empty if they do."""
    if output.is_nested:
        return "a nested tensor"
    if output.layout != torch.strided:
        return f"a tensor of the layout {output.layout}"
    if output.is_quantized:
        return f"a tensor of {output.dtype}"
    return "" if output.device.type == device.type else f"a tensor on {output.device}"


def pictures(output: Any, images: Tensor, told: str, *, waits: bool = True) -> Tensor:
    """Return a filler's images in memory of their own, or raise UserError.

    Parameters
    ----------
    output
        What the filler gave: it should be like the images, with pixels in [0, 1].
    images
        (B, 3, D, D), what it was asked to fill.
    told
        Who gives it; begins the message.
    waits
        Look at the pixels now, for which a GPU stops. Else those that are wrong become NaN, which
        is told where the image is scored.
    """
    odd = oddity(output, images.shape, images.device)
    require(not odd, f"{told} gives {odd}, not {tuple(images.shape)} in [0, 1]")
    filled: Tensor = output.detach().to(images)
    if not waits:
        is_right = (filled >= -SLACK) & (filled <= 1 + SLACK)
        return filled.clamp(0, 1).masked_fill(~is_right, torch.nan)
    low, high = (float(end) for end in filled.aminmax())
    require(not isnan(low), f"{told} gives NaN in the place of pixels")
    require(
        low >= -SLACK and high <= 1 + SLACK,
        f"{told} gives pixels that are not in [0, 1], but {low:.3g} to {high:.3g}",
    )
    return filled.clamp(0, 1)


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
