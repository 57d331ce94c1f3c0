"""The call of ``genattr.explain`` that made a heatmap, as text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genattr.library.components import origin, plain
from genattr.protocols import Component

SHORT = 60  # characters of a value


def call_of(image: Any, arguments: Mapping[str, Any]) -> str:
    """Write a call, with what has no text of its own by a name, such as ``image`` or a class's.

    Parameters
    ----------
    image
        The first argument.
    arguments
        The others that were given, by name.
    """
    first = repr(str(image)) if isinstance(image, str | Path) else "image"
    given = [f"{name}={written(value)}" for name, value in arguments.items()]
    return f"genattr.explain({', '.join([first, *given])})"


def written(value: Any) -> str:
    """Write a value as Python would have it; a model by its name."""
    if isinstance(value, Component):
        return _component(value)
    value = plain(value)
    if isinstance(value, list | bool | int | float | str | None):
        text = repr(value)
        return text if len(text) <= SHORT else "..."
    return str(getattr(value, "__name__", type(value).__name__))


def _component(part: Component) -> str:
    made_from = origin(part)
    if made_from is None:
        return part.title
    changes = [f", {name}={written(value)}" for name, value in made_from.changes.items()]
    return f'genattr.component("{part.group}/{made_from.option}"{"".join(changes)})'
