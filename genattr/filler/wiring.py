"""Arguments of a network from a file."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from genattr.errors import require

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
