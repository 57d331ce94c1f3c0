"""Every key of the configuration, told by the code: ``python -m website.reference``.

Keys of components have type and range from the annotations of the class and their meaning from its
docstring; other keys have their meaning from the comment behind them in the YAML file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hydra import compose, initialize_config_dir
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from genattr import config
from genattr.classifier import precision
from genattr.engine import choose
from genattr.filler.inpainting import Inpainter
from genattr.parameters import BatchSize, allowed
from genattr.protocols import Component, hints_of
from website import words
from website.stage import ROOT

CONF = ROOT / "conf"
TARGET = ROOT / "docs" / "reference" / "keys"
COMPONENTS = ("dataset", "classifier", "filler", "method", "segmentation", "metric", "tracking")
PLAIN = ("selection", "protocol", "sensitivity", "hydra/launcher")
TOGETHER = ("dataset", "classifier", "filler", "tracking")  # none changes another one's keys
PRESETS = ("experiment", "row")
MADE = "*This page is made from the code, by `python -m website.reference`.*\n"
TABLE = "| key | meaning | type | range | default |\n|---|---|---|---|---|\n"
COUNT, NATURAL = "at least 1", "at least 0"
TOLD = {  # type and range of keys that no annotation tells; empty: that of the annotation
    "target": (
        "word, whole number, or list of classes",
        "`label`, `predicted`, `top-3` or another number, an index, or classes: `[tabby,281]`",
    ),
    "explain": ("word", words.choices(config.EXPLAINED)),
    "batch_size": ("whole number or word", allowed(BatchSize)),
    "precision": ("word", words.choices(precision.NAMES)),
    "engine": ("word", words.choices(choose.MODES)),
    "threads": ("", COUNT),
    "device": ("word", "`auto`, `cpu`, `cuda`, `cuda:1` or another index, `mps`"),
    "devices": ("whole number or word", f"{COUNT}, or `all`"),
    "map_colors": ("word", words.choices(config.MAP_COLORS)),
    "selection.limit": ("", COUNT),
    "selection.sample": ("", COUNT),
    "selection.held_out": ("", NATURAL),
    "selection.shard.index": ("", "from 0 to `count` - 1"),
    "selection.shard.count": ("", COUNT),
    "sensitivity.over": ("", "`seed`, or a key of the method"),
    "sensitivity.values": ("list", "at least two different values"),
    "hydra.launcher.account": ("text, or null", ""),
    "hydra.launcher.partition": ("text, or null", ""),
    "hydra.launcher.gpus_per_node": ("whole number, or null", ""),
}  # fmt: skip


@dataclass(frozen=True)
class Key:
    """A line of a table.

    Attributes
    ----------
    name
        What stands behind its option's own key, such as ``weights.url``.
    kind, allowed
        Type and range, in words.
    default, meaning
        Markdown.
    """

    name: str
    kind: str
    allowed: str
    default: str
    meaning: str

    def line(self) -> str:
        """Return it as Markdown."""
        cells = (f"`{self.name}`", self.meaning, self.kind, self.allowed, self.default)
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


@dataclass(frozen=True)
class Option:
    """A file of ``conf/``.

    Attributes
    ----------
    typed
        What chooses it on the command line.
    prefix
        What stands before its keys there; empty: nothing.
    about
        Sentences about it; may be empty.
    """

    typed: str
    prefix: str
    about: str
    keys: Sequence[Key]

    def section(self) -> str:
        """Return it as Markdown."""
        begin = f"Keys begin with `{self.prefix}.`:\n\n" if self.prefix else ""
        table = begin + TABLE + "\n".join(key.line() for key in self.keys)
        parts = [f"## {self.typed}", self.about, table if self.keys else "It has no keys."]
        return "\n\n".join(filter(None, parts)) + "\n"


def pages() -> dict[str, str]:
    """Return the pages by their file names."""
    found = {f"{group.rpartition('/')[2]}.md": _group(group) for group in (*COMPONENTS, *PLAIN)}
    told = "These stand alone, as in `python run.py seed=1 device=cpu`."
    found["settings.md"] = _page("settings", Option("Settings", "", told, settings()).section())
    found["presets.md"] = _page("presets", *map(_preset, PRESETS))
    return found


def _page(name: str, *sections: str) -> str:
    return "\n".join([f"# Keys: {name}\n", MADE, *sections])


def _group(group: str) -> str:
    return _page(group, *(option(group, name).section() for name in names(group)))


def _preset(group: str) -> str:
    """Return the list of options that set keys of others."""
    lines = [f"| `{group}={name}` | {words.head(_file(group, name))} |" for name in names(group)]
    return "\n".join([f"## {group}\n", "| option | what it is |\n|---|---|", *lines, ""])


def names(group: str) -> list[str]:
    """Return the options of a group."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def _file(group: str, name: str) -> Path:
    return CONF / group / f"{name}.yaml"


def option(group: str, name: str) -> Option:
    """Describe an option, with all its keys."""
    return (_component if group in COMPONENTS else _plain)(group, name)


# Options that build a component


def _component(group: str, name: str) -> Option:
    typed, prefix = {
        "segmentation": (f"segmentation@method.segmentation={name}", "method.segmentation"),
        "metric": (f"metric=[{name}]", f"metric.{name}"),
    }.get(group, (f"{group}={name}", group))
    cfg = composed(*_command(group, name, typed))
    node = OmegaConf.select(cfg, prefix)
    about = [words.summary(get_class(node._target_)), words.head(_file(group, name))]
    keys = list(_component_keys(node, prefix, cfg))
    return Option(typed, prefix, " ".join(filter(None, about)), keys)


def _command(group: str, name: str, typed: str) -> list[str]:
    """Return a command with an option; as few different ones as possible, which is quicker."""
    if group == "metric":
        return [f"metric=[{','.join(names(group))}]"]
    if group in TOGETHER:
        index = names(group).index(name)
        return [f"{other}={names(other)[index]}" for other in TOGETHER if index < len(names(other))]
    return ["method=lime", typed] if group == "segmentation" else [typed]


@cache
def composed(*overrides: str) -> DictConfig:
    """Return the configuration of a command."""
    config.register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=list(overrides), return_hydra_config=True)


def _component_keys(node: DictConfig, prefix: str, cfg: DictConfig) -> Iterator[Key]:
    """Describe the keys of an object, and of the objects that it is made of."""
    target = get_class(node._target_)
    hints, told = hints_of(target), words.meanings(target)
    for name in (key for key in map(str, node) if key != "_target_"):
        meaning, place = told.get(name, ""), f"{prefix}.{name}"
        if (group := _group_of(hints[name])) is not None:
            yield _chosen(name, group, place, cfg, meaning)
        elif isinstance(node[name], DictConfig) and "_target_" in node[name]:
            inner = _component_keys(node[name], place, cfg)
            yield from (replace(key, name=f"{name}.{key.name}") for key in inner)
        else:
            hint = hints[name]
            default = words.default(node, name)
            yield Key(name, words.kind(hint), words.allowed(hint), default, meaning)


def _group_of(hint: Any) -> str | None:
    """Return the group whose options a parameter takes; None if it takes a plain value."""
    parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    groups = (p.group for p in parts if isinstance(p, type) and issubclass(p, Component))
    return next(groups, None)


def _chosen(name: str, group: str, place: str, cfg: DictConfig, meaning: str) -> Key:
    """Describe a key that another group's option fills."""
    choice = cfg.hydra.runtime.choices.get(f"{group}@{place}")
    range_ = f"[its options]({group}.md), by `{group}@{place}=`"
    return Key(name, group, range_, words.value(None if choice == "null" else choice), meaning)


# Options whose keys components take over, or the program itself reads


def _plain(group: str, name: str) -> Option:
    prefix = group.replace("/", ".")
    node, told = _inherited(group, name)
    keys = list(_plain_keys(node, told, prefix))
    return Option(f"{group}={name}", prefix, words.head(_file(group, name)), keys)


def _inherited(group: str, name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the keys and the comments of an option, and of those that it goes on from."""
    keys, told = _load(_file(group, name)), words.comments(_file(group, name))
    for base in keys.pop("defaults", []):
        if base in names(group):
            below, explained = _inherited(group, base)
            keys = below | keys
            told = explained | {key: text for key, text in told.items() if text}
    return keys, told


def _plain_keys(node: dict[str, Any], told: dict[str, str], prefix: str) -> Iterator[Key]:
    for name, value in node.items():
        if isinstance(value, dict):
            begin = f"{name}."
            inner = {k.removeprefix(begin): told[k] for k in told if k.startswith(begin)}
            below = _plain_keys(value, inner, f"{prefix}.{name}")
            yield from (replace(key, name=f"{name}.{key.name}") for key in below)
        else:
            place = f"{prefix}.{name}".lstrip(".")
            yield Key(name, *_told(place, value), words.value(value), told.get(name, ""))


def _told(place: str, value: Any) -> tuple[str, str]:
    """Return the type and range of a key that belongs to no component."""
    hint = _hints().get(place, type(value))
    kind, range_ = TOLD.get(place, ("", ""))
    return kind or words.kind(hint), range_ or words.allowed(hint)


@cache
def _hints() -> dict[str, Any]:
    """Return the types of the program's own keys, and of the keys that components take over."""
    found = dict(get_type_hints(config.Settings))
    for prefix, schema in (("selection", config.Selection), ("sensitivity", config.Variation)):
        found |= {f"{prefix}.{name}": hint for name, hint in get_type_hints(schema).items()}
    return found | dict(_taken_over())


def _taken_over() -> Iterator[tuple[str, Any]]:
    """Return the keys of protocol, with the types of the parameters that have their values."""
    yield from _from_protocol(_load(CONF / "inpainter.yaml"), Inpainter)
    for group in COMPONENTS:
        for name in names(group):
            file = _load(_file(group, name))
            node = file.get(name, file)
            if "_target_" in node:
                yield from _from_protocol(node, get_class(node["_target_"]))


def _from_protocol(node: dict[str, Any], target: type) -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if str(value).startswith("${protocol."):
            yield str(value)[2:-1], hints_of(target)[key]


def _load(path: Path) -> dict[str, Any]:
    """Read a YAML file as it stands."""
    values = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def settings() -> list[Key]:
    """Describe the keys that belong to no group."""
    path = CONF / "config.yaml"
    own = {key: value for key, value in _load(path).items() if key not in ("defaults", "hydra")}
    return list(_plain_keys(own, words.comments(path), ""))


def write() -> list[Path]:
    """Write the pages that have changed; return them."""
    TARGET.mkdir(parents=True, exist_ok=True)
    texts = {TARGET / name: text for name, text in pages().items()}
    changed = [path for path in texts if not path.is_file() or path.read_text() != texts[path]]
    for path in changed:
        path.write_text(texts[path])
    return changed


if __name__ == "__main__":
    for written in write():
        sys.stdout.write(f"{written.relative_to(ROOT)}\n")
