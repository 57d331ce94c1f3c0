"""Attribution heatmaps, and a comparison of fillers for the removed parts of photos."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genattr.results.find import load

__all__ = ["load"]
__version__ = "0.1.0"
HOMES = {"load": "genattr.results.find"}  # functions and their modules, imported at first use


def __getattr__(name: str) -> Any:
    """Import a function of the library when it is first asked for."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(HOMES[name]), name)
