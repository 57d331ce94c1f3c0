"""Components: built from their configuration, and described for people and for keys."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType, new_class
from typing import Any, TypeVar, get_args

from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from genattr.assets import import_path
from genattr.errors import UserError, require, there_is
from genattr.protocols import Component, Identified, check, hints_of

T = TypeVar("T", bound=Identified)


def build(node: DictConfig, where: str, base: type[T]) -> T:
    """Build a component, after checking its keys and values.

    Parameters
    ----------
    node
        A config with a ``_target_``.
    where
        The key under which it stands, for messages.
    base
        The kind of component; attributes that the class lacks are the base's.

    Raises
    ------
    UserError
        If the class is not found, or a key or a value is wrong; the message names the key.
    """
    return build_from(values_of(node), where, base)


def values_of(node: DictConfig) -> dict[str, Any]:
    """Return a config as plain values, with nothing left to interpolate."""
    values = OmegaConf.to_container(node, resolve=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def build_from(values: Mapping[str, Any], where: str, base: type[T]) -> T:
    """Build a component as ``build`` does, from values some of which may be components already."""
    require(
        "_target_" in values,
        f"{where}: {', '.join(values)} is set, but nothing is chosen there: choose it by its "
        f"group, or leave it out by ~{where}",
    )
    target = target_of(values["_target_"], where)
    _require_component(target, where, base)
    hints = hints_of(target)
    parameters = inspect.signature(target).parameters
    names = list(parameters)
    options = {key: value for key, value in values.items() if key != "_target_"}
    for key in options:
        require(key in names, f"{where}.{key}: no such option{there_is(key, names)}")
    for key, parameter in parameters.items():
        given = key in options or parameter.default is not parameter.empty or _takes_any(parameter)
        require(given, f"{where}.{key}: it is missing, and {target.__name__} needs it")
    plain = {key: value for key, value in options.items() if not _is_node(value)}
    for key, value in plain.items():
        kind = kind_of(hints[key])
        if value is not None and kind is not None and not isinstance(value, kind):
            group = kind.group
            raise UserError(f"{where}.{key}={value}: choose it by {group}@{where}.{key}={value}")
    check(plain, target, where)
    parts = {
        key: build_from(value, f"{where}.{key}", kind_of(hints[key]) or Identified)
        for key, value in options.items()
        if _is_node(value)
    }
    with under(where, base):
        complete: type[T] = _complete(target, base)  # type: ignore[arg-type]
        return complete(**plain, **parts)


def _require_component(target: type, where: str, base: type) -> None:
    """Refuse a class of another group, and one that is no component, before it is called."""
    is_other = issubclass(target, Component) and not issubclass(target, base)
    name = f"{target.__module__}.{target.__qualname__}"
    require(
        issubclass(target, base) or (is_dataclass(target) and not is_other),
        f"{where}._target_={name}: it is no {base.__name__}: give a dataclass that derives from "
        f"{base.__module__}.{base.__name__}",
    )


def _takes_any(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)


def _is_node(value: Any) -> bool:
    return isinstance(value, dict) and "_target_" in value


def kind_of(hint: Any) -> type[Component] | None:
    """Return the kind of component that a parameter takes; None for plain values."""
    for part in get_args(hint) if isinstance(hint, UnionType) else (hint,):
        if isinstance(part, type) and issubclass(part, Component):
            return part
    return None


def target_of(path: str, where: str) -> type:
    """Find the class that a node names."""
    try:
        found = get_class(path)
    except Exception as error:
        reason = str(error).strip().splitlines()[-1]
        raise UserError(f"{where}._target_={path}: no such class ({reason})") from error
    if not path.startswith("genattr."):
        import_path.tell(path, str(getattr(sys.modules.get(found.__module__), "__file__", "")))
    return found


@cache
def _complete(target: type, base: type) -> Any:
    """Return a class, or one that also derives from the base if it does not yet."""
    if issubclass(target, base):
        return target

    def as_before(namespace: dict[str, Any]) -> None:
        for key in ("__module__", "__qualname__", "__doc__"):
            namespace[key] = getattr(target, key)

    return new_class(target.__name__, (target, base), exec_body=as_before)


@contextmanager
def under(where: str, kind: type[Identified]) -> Iterator[None]:
    """Name a component's parameters in messages by the key under which the component stands."""
    try:
        yield
    except UserError as error:
        group = kind.group if issubclass(kind, Component) else ""
        text = str(error)
        if group and text.startswith(f"{group}.") and not text.startswith(f"{where}."):
            raise UserError(f"{where}{text.removeprefix(group)}") from error
        raise


def identity(part: Any) -> Any:
    """Describe a component by its class, its parameters and the hash of its weights.

    A dataclass field with ``metadata={"identity": False}`` is left out, as are the component's
    ``idle`` parameters.
    """
    if not is_dataclass(part) or isinstance(part, type):
        return part
    kind = type(part)
    parts: dict[str, Any] = {"class": f"{kind.__module__}.{kind.__name__}"}
    kept = [field.name for field in fields(part) if field.metadata.get("identity", True)]
    if isinstance(part, Identified):
        parts["class"] = part.key_name or parts["class"]
        kept = [name for name in kept if name not in part.idle]
    parts |= {name: identity(getattr(part, name)) for name in kept}
    if isinstance(part, Identified) and part.fingerprint is not None:
        parts["weights"] = part.fingerprint
    return parts


def plain_numbers(part: Component) -> dict[str, float]:
    """Return a component's parameters that are numbers, without its ``idle`` ones."""
    names = (entry.name for entry in fields(part) if entry.name not in part.idle)  # type: ignore[arg-type]
    values = {name: getattr(part, name) for name in names}
    return {key: value for key, value in values.items() if type(value) in (int, float)}
