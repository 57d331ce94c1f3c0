"""Types of parameters: allowed values, checked in one place and explained in one line.

A component annotates its parameters with these, with ``Literal`` for choices, or with other
ranges, such as ``Annotated[int, Ge(2)]``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Len, Lt
from pydantic import AfterValidator, AllowInfNan, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticCustomError

BOUNDS: dict[type, tuple[str, str]] = {
    Ge: ("ge", "at least"), Gt: ("gt", "above"), Le: ("le", "at most"), Lt: ("lt", "below"),
}  # fmt: skip
TOO_MUCH = "too_much"
TRULY = {bool: "true or false", int: "a whole number", float: "a number"}
KIND_OF_VALUE = ("_type", "_parsing", "int_from_float")  # ends of pydantic's names of type errors


class Allowed(str):
    """The allowed values of a parameter in words, if its type alone does not explain them."""

    __slots__ = ()


def one_of(values: Sequence[float], words: str) -> tuple[AfterValidator, Allowed]:
    """Return the annotations of a parameter that takes only these numbers."""
    return that(lambda value: value in values, words)


def that(holds: Callable[[Any], bool], words: str) -> tuple[AfterValidator, Allowed]:
    """Return the annotations of a parameter whose values have a property, described in words."""

    def check(value: Any) -> Any:
        if not holds(value):
            raise ValueError
        return value

    return AfterValidator(check), Allowed(words)


def at_most(most: int) -> AfterValidator:
    """Return the annotation of a number that needs terabytes, or years, where it is larger."""

    def check(value: float) -> float:
        if value > most:
            raise PydanticCustomError(TOO_MUCH, f"must be at most {most}")
        return value

    return AfterValidator(check)


FINITE = AllowInfNan(False)
MANY = at_most(1_000_000)
MANY_PIXELS = at_most(4096)
LARGE = at_most(10**9)
Count = Annotated[int, Ge(1), MANY]
Several = Annotated[int, Ge(2), MANY]
Pixels = Annotated[int, Ge(1), MANY_PIXELS]
Margin = Annotated[int, Ge(0), MANY_PIXELS]
Seed = Annotated[int, Ge(0), at_most(2**63 - 1)]
Positive = Annotated[float, Gt(0), LARGE]
NotNegative = Annotated[float, Ge(0), LARGE]
Radius = Annotated[float, Gt(0), MANY_PIXELS]
Share = Annotated[float, Gt(0), Le(1)]
ThreeNumbers = Annotated[Sequence[float], Len(3, 3), Allowed("three numbers")]
Color = Annotated[
    Sequence[Annotated[float, Ge(0), Le(1)]], Len(3, 3), Allowed("three numbers in [0, 1]")
]
BatchSize = Annotated[Count | Literal["auto"], Allowed("a whole number from 1 on, or auto")]
Interpolation = Literal["bilinear", "nearest"]
Objective = Literal["deletion", "preservation"]


def fault(value: Any, hint: Any) -> str | None:
    """Return the error in a parameter's value.

    Parameters
    ----------
    value
        As it was given; it is checked and not converted.
    hint
        The parameter's type.

    Returns
    -------
    "must be ..." with the allowed values, or with the expected type; None if it is fine.
    """
    adapter = _adapter(hint)
    if adapter is None:
        return None
    try:
        return _of_another_kind(value, adapter.validate_python(value))
    except ValidationError as error:
        faults = error.errors(include_url=False)
        too_much = (one["msg"] for one in faults if one["type"] == TOO_MUCH)
        if told := next(too_much, None):
            return told
        first = faults[0]
        words = allowed(hint)
        if words and (Allowed in _kinds(hint) or not first["type"].endswith(KIND_OF_VALUE)):
            return f"must be {words}"
        return first["msg"].replace("Input", "it")


def _of_another_kind(value: Any, read: Any) -> str | None:
    """Return the error in a value that is only right once it is read as a number or a truth.

    Texts such as "no" and "3" are, and would stay texts; so is ``true`` for 1, and 3.0 for 3.
    """
    if isinstance(read, list | tuple) and isinstance(value, list | tuple):
        return next(filter(None, map(_of_another_kind, value, read)), None)
    for kind, words in TRULY.items():
        if type(read) is kind and isinstance(value, str | bool | float):
            is_kind = isinstance(value, bool) == (kind is bool) and not isinstance(value, str)
            whole = kind is not int or not isinstance(value, float)
            return None if is_kind and whole else f"must be {words}"
    return None


@lru_cache(maxsize=512)
def _adapter(hint: Any) -> TypeAdapter[Any] | None:
    """Return pydantic's validator of a type; None for types, such as components, without one."""
    try:
        return TypeAdapter(hint)
    except PydanticUserError:
        return None


def allowed(hint: Any) -> str:
    """Return the allowed values in words: "at least 1", "a, b or c"; empty: any of the type."""
    if get_origin(hint) in (Union, UnionType):
        words = " or ".join(filter(None, map(allowed, get_args(hint))))
        return f"{words}, or null" if words and NoneType in get_args(hint) else words
    if get_origin(hint) is Literal:
        *others, last = map(str, get_args(hint))
        return f"{', '.join(others)} or {last}" if others else last
    if get_origin(hint) is not Annotated:
        return ""
    notes = get_args(hint)[1:]
    descriptions = [str(note) for note in notes if isinstance(note, Allowed)]
    return descriptions[0] if descriptions else _range(notes)


def _range(notes: Sequence[Any]) -> str:
    """Put the bounds of a number into words."""
    words = []
    for note in notes:
        if type(note) in BOUNDS:
            key, name = BOUNDS[type(note)]
            words.append(f"{name} {getattr(note, key):g}")
    if FINITE in notes:
        words.append("finite")
    return " and ".join(words)


def _kinds(hint: Any) -> set[type]:
    return {type(note) for note in get_args(hint)[1:]} if get_origin(hint) is Annotated else set()
