"""Python's search for cyclic garbage, kept away from what imports make."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def left_alone(module: str) -> Iterator[None]:
    """Import a large module, if it is not imported yet, without searches for garbage.

    They look through all functions and classes again and again, and once more at the end of the
    process; what there is after the import is left out of all later searches.
    """
    if module in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
