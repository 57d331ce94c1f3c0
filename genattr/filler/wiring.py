"""Arguments of a network from a file, and the choice of the image among its outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from genattr.errors import UserError, require

PARTS = ("image", "mask", "ones")


def check_arguments(arguments: Iterable[str], key: str) -> None:
    """Refuse arguments that are not made of the parts, or that leave out the image or the mask."""
    parts = [part for argument in arguments for part in argument.split("+")]
    wrong = [part for part in parts if part not in PARTS]
    message = (
        f"{key}: {wrong[0] if wrong else ''}: must be image, mask, or a sum such as image+mask"
    )
    require(not wrong, message)
    for part in ("image", "mask"):
        require(part in parts, f"{key}: no {part} among them")


def joined(argument: str, images: Tensor, hole: Tensor) -> Tensor:
    """Concatenate the parts of an argument along the channels: ``image+ones+mask`` has five."""
    parts = {"image": images, "mask": hole, "ones": torch.ones_like(hole)}
    return torch.cat([parts[part] for part in argument.split("+")], dim=1)


def picked(outputs: Any, output: int | str | None) -> Any:
    """Return the image among a network's outputs; a single output needs no name.

    Parameters
    ----------
    outputs
        A tensor, or a sequence or mapping of them.
    output
        Position in the sequence, or name in the mapping. None: there is only one.
    """
    if not isinstance(outputs, Sequence | Mapping):
        return outputs
    values = dict(outputs) if isinstance(outputs, Mapping) else dict(enumerate(outputs))
    if len(values) == 1:
        return next(iter(values.values()))
    if output not in values:
        raise UserError(f"filler.output={output}: no such output; there is {_names(values)}")
    return values[output]


def _names(values: Mapping[Any, Any]) -> str:
    return ", ".join(map(str, values))
