"""How often a computation waits for its device, counted by the calls that make it wait."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

WAITING = {
    *("item", "tolist", "cpu", "numpy", "__bool__", "__int__", "__float__", "__index__"),
    *(
        "nonzero",
        "argwhere",
        "masked_select",
        "equal",
        "allclose",
        "unique",
        "bincount",
        "__iter__",
    ),
}


class Waits(TorchFunctionMode):
    """Counts the calls whose result the host has to know, masks as indices among them."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(self, func: object, types: object, args=(), kwargs=None) -> object:
        name = func.__name__
        self.count += name in WAITING or (
            name in ("__getitem__", "__setitem__") and _masks(args[1])
        )
        return func(*args, **(kwargs or {}))


def _masks(index: object) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, Tensor) and part.dtype == torch.bool for part in parts)


def waits(compute: Callable[[], object]) -> int:
    """Count the waits of a computation, after one that may fill caches."""
    compute()
    with Waits() as seen:
        compute()
    return seen.count
