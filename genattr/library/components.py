"""Components by the names of their options, with the defaults of their YAML files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from genattr import components
from genattr.errors import UserError, but, require
from genattr.library import options
from genattr.library.door import door
from genattr.method.base import Method
from genattr.metric.base import Metric
from genattr.protocols import (
    Classifier,
    Component,
    Dataset,
    Filler,
    Segmentation,
    hints_of,
)

KINDS: dict[str, type[Component]] = {
    kind.group: kind for kind in (Classifier, Dataset, Filler, Method, Metric, Segmentation)
}
CLASS = "_target_"
PLACES = {"metric": "metric.{}", "segmentation": "method.segmentation"}  # others: by the group
CHOICES = {
    "metric": ["metric=[{}]"],
    "segmentation": ["method=lime", "segmentation@method.segmentation={}"],
}
ORIGIN = "_origin"


@dataclass(frozen=True)
class Origin:
    """The option that a component was made from, and the arguments that differ from its YAML."""

    option: str
    changes: Mapping[str, Any]


@door
def component(option: str, /, **keys: Any) -> Component:
    """Build a component from an option of ``conf/``, with its YAML's defaults.

    Parameters
    ----------
    option
        Its group and its name: "filler/mirror", "method/lime", "classifier/timm".
    **keys
        Arguments that differ from the defaults. Those that are components themselves may be given
        by the name of an option.

    Raises
    ------
    UserError
        If there is no such option or argument, or a value is wrong.
    """
    return made(option, keys)


def made(option: str, keys: Mapping[str, Any]) -> Component:
    """Build a component as ``component`` does."""
    group, _, name = option.partition("/")
    require(group in KINDS, _unknown_group(option))
    part = built(group, name, node_of(group, name), keys)
    part.__dict__[ORIGIN] = Origin(name, dict(keys))
    return part


def node_of(group: str, name: str) -> DictConfig:
    """Return the node of an option where it is chosen; UserError if there is none."""
    check_option(group, name, options.options(group))
    choices = [choice.format(name) for choice in CHOICES.get(group, [f"{group}={{}}"])]
    cfg = options.composed("tracking=none", *choices)
    node: DictConfig = OmegaConf.select(cfg, PLACES.get(group, group).format(name))
    return node


def arguments_of(group: str, name: str) -> list[str]:
    """Return the names of an option's arguments."""
    return arguments(components.values_of(node_of(group, name)))


def built(group: str, name: str, node: DictConfig, keys: Mapping[str, Any]) -> Component:
    """Build a component from its node, with other values for some keys."""
    values = components.values_of(node)
    check_keys(f"{group} {name}", keys, arguments(values))
    owner = components.target_of(values[CLASS], group)
    values |= {key: _value(owner, key, value) for key, value in keys.items()}
    return components.build_from(values, group, KINDS[group])


def arguments(values: Mapping[str, Any]) -> list[str]:
    """Return the names of a node's arguments."""
    return [str(key) for key in values if key != CLASS]


def check_keys(told: str, keys: Mapping[str, Any], names: Sequence[str]) -> None:
    """Refuse arguments that a component does not have."""
    for key, value in keys.items():
        require(key in names, f"{key}={shown(value)}: {lacks(told, key, names)}")


def lacks(told: str, key: str, names: Sequence[str]) -> str:
    """Say that somebody has no such argument, which ones there are, and which may be meant."""
    has = f"it has {', '.join(names)}" if names else "it has none"
    return f"{told} has no such argument{but(key, names, has)}"


def check_option(group: str, name: str, names: Sequence[str]) -> None:
    """Refuse the name of an option that there is not."""
    there = but(name, names, f"there is {', '.join(names)}")
    require(name in names, f"{group}={name}: no such {group}{there}")


def _unknown_group(option: str) -> str:
    """Refuse what is no group and option."""
    slash = "/" in option
    there = f"it is a group and a name, such as filler/mirror, and there is {', '.join(KINDS)}"
    known = [f"{other}/{name}" for other in KINDS for name in options.options(other)]
    close = [one for one in known if not slash and one.endswith(f"/{option}")]
    return f"component {option}: no such group{but(close[0] if close else option, known, there)}"


def _value(owner: type, key: str, value: Any) -> Any:
    """Return a value as the configuration would have it, and a component for its name."""
    kind = components.kind_of(hints_of(owner)[key])
    if kind is not None and isinstance(value, str):
        return made(f"{kind.group}/{value}", {})
    return plain(value)


def plain(value: Any) -> Any:
    """Return a value as YAML has it: numbers and lists for those of NumPy and PyTorch."""
    if isinstance(value, np.generic | np.ndarray | Tensor):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def shown(value: Any) -> str:
    """Return a value for messages, shortened."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 40 else f"{text[:39]}…"


def origin(part: Component) -> Origin | None:
    """Return what a component was made from; None: it was not made by ``component``."""
    found = part.__dict__.get(ORIGIN)
    return found if isinstance(found, Origin) else None


def refuse(given: Any, what: str, group: str) -> UserError:
    """Return the error of something that is no component."""
    return UserError(
        f"{what}={shown(given)}: must be the name of an option, such as "
        f'{options.options(group)[0]}, or genattr.component("{group}/...")'
    )
