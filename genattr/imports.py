"""Imports of large modules: without searches for garbage, and ahead of their use."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from threading import Thread


@contextmanager
def quick(module: str) -> Iterator[None]:
    """Import a large module, if it is not imported yet, without searches for cyclic garbage.

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


def ahead(module: str) -> None:
    """Import a module in a thread; whoever imports it meanwhile waits for it."""
    if module not in sys.modules:
        Thread(target=_import, args=(module,), name=f"import {module}").start()


def _import(module: str) -> None:
    with quick(module):
        import_module(module)
