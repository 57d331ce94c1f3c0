"""Overrides as they are typed, such as ``method=sp``: what Hydra refuses is told in one line.

Fast to import, so that tab completion stays fast.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException, ValidationError

from genattr.errors import UserError, but, did_you_mean, nearest, require

T = TypeVar("T")
REFUSED = (  # what a composition raises
    HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError, RecursionError, TypeError,
    OSError, AssertionError, AttributeError,
)  # fmt: skip
DEEPEST, LONGEST = 50, 80  # brackets in each other, and characters of a word in a message
MOST_VALUES = 10_000  # of a word, which take seconds to read
KINDS = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false"}
PAIRS = {"[": "]", "{": "}", "(": ")"}
UNKNOWN = re.compile(
    r"Could not (?:override|delete from config\.|delete) '([^']+)'"
    r"|Could not append to config\. Key '([^']+)'"
)


def compose(
    loader: ConfigLoaderImpl, name: str | None, words: Sequence[str], mode: RunMode
) -> DictConfig:
    """Compose a configuration; UserError in one line if Hydra refuses a word.

    Parameters
    ----------
    name
        Of the primary file.
    words
        The overrides.
    mode
        Whether words may have several values.
    """
    _require_plain(words)
    try:
        return loader.load_configuration(name, list(words), mode)
    except REFUSED as error:
        raise UserError(told(error, words, loader, name)) from error


def _require_plain(words: Sequence[str]) -> None:
    for word in words:
        require(not word.startswith("="), f"{word[:LONGEST]}: a key stands before the =")
        require(
            word.count(",") <= MOST_VALUES,
            f"{word[:LONGEST]}...: more than {MOST_VALUES} values; write them into a file of the "
            "configuration (--config-dir), or of the kind that the key takes",
        )


def told(error: Exception, words: Sequence[str], loader: ConfigLoaderImpl, name: str | None) -> str:
    """Say in one line what Hydra refuses, and what may have been meant.

    Parameters
    ----------
    error
        Of a composition.
    words, name
        What was composed.
    """
    text = str(error) or _first_line(error)
    if match := re.match(r"In '.*': Could not (?:find|load) '(.+)/(.*)'", text):
        return _no_option(match[1], match[2], words, loader)
    if isinstance(error, OverrideParseException):
        return _unreadable(error.override)
    if isinstance(error, RecursionError):
        return _too_deep(words)
    if text.startswith("Config group override must be") or _is_of_name(error):
        return _no_choice(words, loader)
    if isinstance(error, ValueError):
        return _unread(text, words)
    if isinstance(error, AssertionError | AttributeError):
        return f"{_obstacle(words, loader, name)}: that is no value for it"
    if isinstance(error.__cause__, ValidationError):
        return _wrong_kind(text, str(error.__cause__))
    if match := re.match(r"Ambiguous value for argument '(.*)'", text):
        return _several(match[1])
    if match := re.match(r".*An item is already at '([^']+)'|Multiple values for ([^ ]+)\.", text):
        return f"{match[1] or match[2]}: it is there already: leave out the +"
    if match := UNKNOWN.match(text):
        key = match[1] or match[2]
        cfg = _composed_without(key, words, loader, name)
        typed = next((word for word in words if key_of(word) == key), key)
        if key in _keys(cfg):
            return f"{typed}: {_first_line(error)}"
        if key in loader.list_groups("") and not any(map(key.__eq__, _groups(cfg))):
            return _no_place(key, typed, cfg)
        return _key_of_another(key, typed, cfg, loader) or _no_key(key, typed, cfg)
    return _shortened(text)


def _no_option(group: str, option: str, words: Sequence[str], loader: ConfigLoaderImpl) -> str:
    typed = (word for word in words if word.lstrip("+").partition("@")[0].startswith(group))
    keys = [key_of(word) for word in typed if option in word]
    options = loader.get_group_options(group)
    found = but(option, options, f"there is {', '.join(options)}")
    return f"{keys[0] if keys else group}={option}: no such option{found}"


def _is_of_name(error: Exception) -> bool:
    """Whether the name of an option is a list of lists, or too long for a file."""
    too_long = isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG
    return too_long or isinstance(error, TypeError)


def _no_choice(words: Sequence[str], loader: ConfigLoaderImpl) -> str:
    """Name the word that gives a group something else than the name of an option."""
    groups = loader.list_groups("")
    given = [word for word in words if "=" in word]
    typed = [word for word in given if key_of(word).partition("@")[0] in groups]
    names = {word: loader.get_group_options(key_of(word).partition("@")[0]) for word in typed}
    wrong = [word for word in typed if not set(_chosen(word)) <= set(names[word])]
    wrong.sort(key=lambda word: "null" in _chosen(word))  # the other mistakes first
    word = next(iter(wrong), "a group of the configuration")
    options = ", ".join(names.get(word, []))
    return f"{word}: give the name of an option{f'; there is {options}' if options else ''}"


def _chosen(word: str) -> list[str]:
    """Return the options that a word chooses, of a list in brackets each."""
    value = word.partition("=")[2]
    is_list = value[:1] == "[" and value[-1:] == "]"
    return [one.strip() for one in value[1:-1].split(",") if one.strip()] if is_list else [value]


def _obstacle(words: Sequence[str], loader: ConfigLoaderImpl, name: str | None) -> str:
    """Return the word without which the configuration can be composed."""
    for word in words:
        try:
            others = [one for one in words if one != word]
            loader.load_configuration(name, others, RunMode.MULTIRUN)
        except REFUSED:
            continue
        return word
    return " ".join(words)


def _too_deep(words: Sequence[str]) -> str:
    """Say what goes round in a circle, or is nested too deeply for Python."""
    for word in words:
        if max(map(word.count, PAIRS)) > DEEPEST:
            return f"{word[:LONGEST]}...: brackets stand too deeply in each other"
    return (
        "the configuration goes round in a circle: a file names itself in its defaults, or a value "
        "points at itself by ${...}"
    )


def _unread(text: str, words: Sequence[str]) -> str:
    """Say what Python cannot read, such as a number of thousands of digits."""
    longest = max(words, key=len, default="")
    if "digits" in text:
        return f"{longest[:LONGEST]}...: a number of so many digits is not read"
    return f"a file of the configuration is not to be read: {_shortened(text)}"


def _unreadable(word: str) -> str:
    _, equals, value = word.partition("=")
    if not equals:
        return f"{word}: give it a value, as {word}=..., or leave it out"
    for opening, closing in PAIRS.items():
        if value.count(opening) != value.count(closing):
            return f"{word}: {opening} and {closing} do not match; a text that holds one {QUOTED}"
    if value.count("'") % 2 or value.count('"') % 2:
        return f"{word}: a quote is not closed; a text that holds one {QUOTED}"
    return f"{word}: not to be read as a value; a text of such characters {QUOTED}"


QUOTED = """stands in quotes inside the shell's: "key='text'\""""


def _wrong_kind(text: str, cause: str) -> str:
    word = text.splitlines()[0].removeprefix("Error merging override ").strip()
    match = re.search(r"could not be converted to (\w+)", cause)
    if match is None or match[1] not in KINDS:
        return f"{word}: {cause.splitlines()[0]}"
    if "'dict'" in cause:
        return f"{word}: {key_of(word).rpartition('.')[0]} is {KINDS[match[1]]}, without keys"
    return f"{word}: must be {KINDS[match[1]]}"


def _several(word: str) -> str:
    key, _, value = word.partition("=")
    return f"{word}: several values are a sweep: add -m; a list is {key}=[{value}]"


def _first_line(error: Exception) -> str:
    """Return the first line of what caused an error, or of itself."""
    return str(error.__cause__ or error).partition("\n")[0] or type(error).__name__


def _shortened(text: str) -> str:
    """Join the lines of a message, without search path, hints and links."""
    lines = text.partition("Config search path:")[0].splitlines()
    kept = [line.strip() for line in lines if not line.startswith(("See https", "To append"))]
    return " ".join(filter(None, kept))


def key_of(word: str) -> str:
    """Return the key of an override, without ``+`` and ``~``."""
    return word.partition("=")[0].lstrip("+~")


def _composed_without(
    key: str, words: Sequence[str], loader: ConfigLoaderImpl, name: str | None
) -> DictConfig:
    """Compose what is left without the words of a key, or nothing but the defaults."""
    others = [word for word in words if key_of(word) != key]
    for kept in (others, []):
        try:
            return loader.load_configuration(
                name, kept, RunMode.MULTIRUN, validate_sweep_overrides=False
            )
        except REFUSED:
            continue
    return OmegaConf.create()


def _key_of_another(key: str, typed: str, cfg: DictConfig, loader: ConfigLoaderImpl) -> str:
    """Say which options of a group have a key that the chosen one lacks; empty if none has."""
    group, _, last = key.partition(".")
    choice = OmegaConf.select(cfg, "hydra.runtime.choices", default={}).get(group)
    own = OmegaConf.select(cfg, group) if choice else None
    if not isinstance(own, DictConfig) or nearest(last, map(str, own)):
        return ""
    files = {
        name: loader.repository.load_config(f"{group}/{name}")
        for name in loader.get_group_options(group)
    }
    having = [f"{group}={name}" for name, file in files.items() if file and _has(file.config, key)]
    return f"{typed}: no such key of {group}={choice}, but of {', '.join(having)}" if having else ""


def _has(file: Any, key: str) -> bool:
    """Whether an option's file has a key, under its group or as a global one."""
    group, _, last = key.partition(".")
    inside = file.get(group, file) if isinstance(file, DictConfig) else {}
    return isinstance(inside, DictConfig) and last in inside


def _no_place(group: str, typed: str, cfg: DictConfig) -> str:
    """Say that nothing takes an option of a group, or by which keys it is chosen."""
    keys = [name for name in _groups(cfg) if name.startswith(f"{group}@")]
    close = [typed.replace(group, key, 1) for key in keys]
    return f"{typed}: nothing that is chosen takes a {group}{did_you_mean(close)}"


def _no_key(key: str, typed: str, cfg: DictConfig) -> str:
    """Say that there is no such key, which may have been meant, and which there are beside it."""
    place, others = _beside(key, cfg)
    close = [typed.replace(key, other, 1) for other in _meant(key, place, others, cfg)]
    choice = OmegaConf.select(cfg, "hydra.runtime.choices", default={}).get(place)
    of = f" of {place}={choice}" if choice else ""
    listed = f"here is {', '.join(others) or 'none'}"
    if not close:
        return f"{key}: no such key{of}; t{listed}"
    return f"{key}: no such key{of}{did_you_mean(close)}" + (f" T{listed}" if place else "")


def _meant(key: str, place: str, others: Sequence[str], cfg: DictConfig) -> list[str]:
    """Return the keys that end alike, or whose first wrong part is similar."""
    longer = [other for other in _keys(cfg) if other.endswith(f".{key}")]
    if longer:
        return longer[:3]
    start = f"{place}." if place else ""
    wrong, dot, rest = key.removeprefix(start).partition("@" if "@" in key else ".")
    if "@" in key:
        return nearest(key, others)
    return [f"{start}{other}{dot}{rest}" for other in nearest(wrong, others)]


def _beside(key: str, cfg: DictConfig) -> tuple[str, list[str]]:
    """Return the deepest place on the way to a key that there is, and the keys in it."""
    node: Any = cfg
    place: list[str] = []
    for part in [] if "@" in key else key.split(".")[:-1]:
        inside = OmegaConf.select(node, part) if part in node else None
        if not isinstance(inside, DictConfig):
            break
        node = inside
        place.append(part)
    if place:
        return ".".join(place), [str(name) for name in node if name != "_target_"]
    keys = (str(name) for name in node if name != "hydra")
    return "", list(dict.fromkeys([*_groups(cfg), *keys]))


def _groups(cfg: DictConfig) -> list[str]:
    """Return the keys that options are chosen by, such as ``filler@metric.deletion.filler``."""
    choices = map(str, OmegaConf.select(cfg, "hydra.runtime.choices", default={}))
    return [name for name in choices if not name.startswith("hydra/")]


def _keys(node: DictConfig, prefix: str = "") -> Iterator[str]:
    """Yield all keys of a configuration but Hydra's own, those of nodes included."""
    for key in map(str, node):
        if not prefix and key == "hydra":
            continue
        yield f"{prefix}{key}"
        inside = None if OmegaConf.is_interpolation(node, key) else node._get_node(key)
        if isinstance(inside, DictConfig) and not inside._is_none() and not inside._is_missing():
            yield from _keys(inside, f"{prefix}{key}.")


def resolved(cfg: DictConfig, read: Callable[[], T]) -> T:
    """Read what may hold interpolations such as ``${protocol.stride}``.

    Raises
    ------
    UserError
        Names the key whose interpolation leads nowhere, and what may have been meant.
    """
    try:
        return read()
    except OmegaConfBaseException as error:
        raise UserError(_leads_nowhere(error, cfg)) from error


def _leads_nowhere(error: OmegaConfBaseException, cfg: DictConfig) -> str:
    key = error.full_key or "the configuration"
    if isinstance(error, MissingMandatoryValue):
        return f"{key} is missing: give {key}=..."
    match = re.search(r"Interpolation key '([^']+)' not found", str(error))
    if match is None:
        return f"{key}: {_first_line(error)}"
    close = [f"${{{key}}}" for key in nearest(match[1], _keys(cfg))]
    return f"{key}: ${{{match[1]}}} leads nowhere{did_you_mean(close)}"
