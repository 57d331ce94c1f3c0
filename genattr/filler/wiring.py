"""What a network from a file is called with, and which of its outputs is the image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from genattr.errors import UserError, require

PARTS = ("image", "mask", "ones")


def check_arguments(arguments: Iterable[str], key: str) -> None:
    """Refuse arguments that are not made of the parts, or that leave out the image or the mask."""
    given = [part for argument in arguments for part in argument.split("+")]
    wrong = [part for part in given if part not in PARTS]
    told = f"{key}: {wrong[0] if wrong else ''}: must be image, mask, or a sum such as image+mask"
    require(not wrong, told)
    for part in ("image", "mask"):
        require(part in given, f"{key}: no {part} among them")


def joined(argument: str, images: Tensor, hole: Tensor) -> Tensor:
    """Put the parts of an argument together along the channels: ``image+ones+mask`` has five."""
    parts = {"image": images, "mask": hole, "ones": torch.ones_like(hole)}
    return torch.cat([parts[part] for part in argument.split("+")], dim=1)


def picked(found: Any, output: int | str | None) -> Any:
    """Return the image among a network's outputs; where there is one, whatever it is called.

    Parameters
    ----------
    found
        A tensor, or a sequence or mapping of them.
    output
        Position in the sequence, or name in the mapping. None: there is only one.
    """
    if not isinstance(found, Sequence | Mapping):
        return found
    values = dict(found) if isinstance(found, Mapping) else dict(enumerate(found))
    if len(values) == 1:
        return next(iter(values.values()))
    if output not in values:
        raise UserError(f"filler.output={output}: no such output; there is {_names(values)}")
    return values[output]


def _names(values: Mapping[Any, Any]) -> str:
    return ", ".join(map(str, values))
