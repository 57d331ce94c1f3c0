"""Attribution heatmaps, and a comparison of fillers for the removed parts of photos."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genattr.errors import UserError
    from genattr.library.bridges import as_captum, as_quantus
    from genattr.library.components import component
    from genattr.library.explaining import explain
    from genattr.library.filling import fill
    from genattr.library.heatmap import Heatmap
    from genattr.library.scoring import score
    from genattr.results.find import load

__all__ = [
    "Heatmap", "UserError", "as_captum", "as_quantus", "component", "explain", "fill", "load",
    "score",
]  # fmt: skip
__version__ = "0.1.0"
HOMES = {  # what the library offers, by modules that are imported at first use
    "Heatmap": "genattr.library.heatmap",
    "UserError": "genattr.errors",
    "as_captum": "genattr.library.bridges",
    "as_quantus": "genattr.library.bridges",
    "component": "genattr.library.components",
    "explain": "genattr.library.explaining",
    "fill": "genattr.library.filling",
    "load": "genattr.results.find",
    "score": "genattr.library.scoring",
}


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def __getattr__(name: str) -> Any:
    """Import a function of the library when it is first asked for."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(HOMES[name]), name)
