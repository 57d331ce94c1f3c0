"""How often a computation waits for its device, counted by the operations that make it wait."""

from __future__ import annotations

from collections.abc import Callable

from torch.utils._python_dispatch import TorchDispatchMode

WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "bincount")


class Waits(TorchDispatchMode):
    """Counts operations whose result the host has to know, masks as indices among them."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: object, types: object, args=(), kwargs=None) -> object:
        name = func.overloadpacket.__name__
        masked = name in ("index", "index_put", "index_put_", "_index_put_impl_") and any(
            index is not None and index.dtype.itemsize == 1 for index in args[1]
        )
        self.count += name in WAITING or masked
        return func(*args, **(kwargs or {}))


def waits(compute: Callable[[], object]) -> int:
    """Count the waits of a computation, after one that may fill caches."""
    compute()
    with Waits() as seen:
        compute()
    return seen.count
