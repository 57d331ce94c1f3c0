"""The configuration: typed top-level keys, building of components, checks across groups.

Fast to import, so that tab completion stays fast.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf

from genattr.errors import UserError, require, there_is


@dataclass
class Shard:
    """One part of the photos, for spreading a dataset over workers."""

    index: int = MISSING
    count: int = MISSING


@dataclass
class Selection:
    """Choice of photos from the dataset; conf/selection gives values and explains them."""

    names: str | None = MISSING
    limit: int | None = MISSING
    sample: int | None = MISSING
    seed: int = MISSING
    correct_only: bool = MISSING
    held_out: int = MISSING
    held_out_names: str | None = MISSING
    shard: Shard = MISSING


@dataclass
class Variation:
    """The key whose values' heatmaps are compared, and the values; conf/sensitivity gives them."""

    over: str | None = MISSING
    values: Any = MISSING  # a list; null in a sweep over the key, which compares its members


@dataclass
class Settings:
    """Top-level keys; conf/config.yaml and conf/selection explain them."""

    protocol: Any = MISSING
    classifier: Any = MISSING
    filler: Any = MISSING
    method: Any = MISSING
    metric: Any = field(default_factory=dict)
    dataset: Any = MISSING
    sensitivity: Variation = MISSING
    tracking: Any = MISSING
    experiment: Any = None
    target: Any = MISSING
    explain: str = MISSING
    seed: int = MISSING
    selection: Selection = MISSING
    batch_size: Any = MISSING
    precision: str = MISSING
    engine: str = MISSING
    threads: int | None = MISSING
    device: str = MISSING
    devices: Any = MISSING
    tune_allocator: bool = MISSING
    store: str = MISSING
    trust: bool = MISSING
    sweep_id: str | None = MISSING
    note: str | None = MISSING
    table: str | None = MISSING
    series: list[str] | None = MISSING
    map_colors: str = MISSING
    show_removed: bool = MISSING
    show_samples: bool = MISSING
    report: bool = MISSING
    optimize: str | None = MISSING


PACKAGE = Path(__file__).resolve().parent


def folder() -> Path:
    """Return where the YAML files are: in the package if it is installed, else beside it."""
    inside = PACKAGE / "conf"
    return inside if inside.is_dir() else PACKAGE.parent / "conf"


def home() -> Path:
    """Return the folder of runs' results: that of ``python run.py``, else the working folder."""
    script = PACKAGE.parent / "run.py"
    return script.parent if Path(sys.argv[0]).resolve() == script else Path.cwd()


def program() -> str:
    """Return the user's command: ``genattr``, ``python run.py`` or ``python -m genattr``."""
    started = Path(sys.argv[0])
    if started.name == "__main__.py":
        return "python -m genattr"
    return f"python {started.name}" if started.suffix == ".py" else "genattr"


def register() -> None:
    """Make the schema and the resolvers of ``conf/config.yaml`` known to Hydra."""
    root = str(home())  # also for a sweep's members, wherever they run
    OmegaConf.register_new_resolver("repo", lambda: root, replace=True)
    OmegaConf.register_new_resolver("program", program, replace=True)
    OmegaConf.register_new_resolver("either", _either, replace=True)
    OmegaConf.register_new_resolver("of_segments", _of_segments, replace=True)
    ConfigStore.instance().store(name="schema", node=Settings)


def _either(first: Any, second: Any) -> Any:
    """Return the first of two values unless it is null."""
    return second if first is None else first


def _of_segments(key: str, default: Any, *, _root_: DictConfig) -> Any:
    """Return a key of the method if it splits photos into segments, or else a default."""
    segmentation = OmegaConf.select(_root_, "method.segmentation")
    splits = isinstance(segmentation, DictConfig) and key in _root_.method
    return _root_.method[key] if splits else default


def check(cfg: DictConfig) -> None:
    """Check the top-level keys and values; UserError names the first that is wrong."""
    check_known(cfg, Settings, "")
    for group in ("dataset", "classifier", "filler", "method", "tracking"):
        require(not OmegaConf.is_missing(cfg, group), f"{group} is missing: give {group}=<option>")
        require(
            isinstance(cfg[group], DictConfig),
            f"{group}={cfg[group]}: that is no component: choose one by {group}=<option>",
        )
    check_known(cfg.selection, Selection, "selection.")
    check_known(cfg.selection.shard, Shard, "selection.shard.")
    require(
        cfg.series is None,
        "series: it is started by itself, as experiment=paper is, and is no member of a sweep",
    )
    size = cfg.batch_size
    require(
        size == "auto" or (type(size) is int and size >= 1),
        f"batch_size={size}: must be a whole number from 1 on, or auto",
    )
    threads = cfg.threads
    require(threads is None or threads >= 1, f"threads={threads}: must be at least 1")
    require(
        threads is None or threads <= MOST_THREADS,
        f"threads={threads}: must be at most {MOST_THREADS}, and works best at the number of cores",
    )
    _check_sizes(cfg)
    _check_metrics(cfg.metric)
    several = cfg.devices
    require(
        several == "all" or (type(several) is int and several >= 1),
        f"devices={several}: must be a whole number from 1 on, or all",
    )
    target(cfg.target)
    for key, allowed in (("explain", EXPLAINED), ("map_colors", MAP_COLORS)):
        words = f"{', '.join(allowed[:-1])} or {allowed[-1]}"
        require(cfg[key] in allowed, f"{key}={cfg[key]}: must be {words}")
    _check_variation(cfg.sensitivity)
    chosen = cfg.selection
    for key in ("limit", "sample"):
        value = chosen[key]
        require(value is None or value >= 1, f"selection.{key}={value}: must be at least 1 or null")
    require(chosen.held_out >= 0, f"selection.held_out={chosen.held_out}: must not be negative")
    shard = chosen.shard
    require(shard.count >= 1, f"selection.shard.count={shard.count}: must be at least 1")
    require(
        0 <= shard.index < shard.count,
        f"selection.shard.index={shard.index}: must be in 0..{shard.count - 1}",
    )
    require(
        several == 1 or shard.count == 1,
        f"devices={several}: selection.shard.count={shard.count} spreads the photos already; "
        "leave out one of them",
    )


def _check_sizes(cfg: DictConfig) -> None:
    """Refuse what would need terabytes, or years."""
    for key, most in MOST.items():
        value = OmegaConf.select(cfg, key)
        require(
            type(value) is not int or abs(value) <= most, f"{key}={value}: must be at most {most}"
        )
    length = len(cfg.note or "")
    require(length <= LONGEST_NOTE, f"note: {length} characters; write at most {LONGEST_NOTE}")


def _check_metrics(chosen: Any) -> None:
    """Refuse what stands where a metric should, such as a number."""
    require(
        isinstance(chosen, DictConfig), f"metric={chosen}: choose some, as in metric=[deletion]"
    )
    for key in map(str, chosen):
        require(
            isinstance(chosen[key], DictConfig),
            f"metric.{key}={chosen[key]}: choose a metric by its name, as in metric=[deletion], or "
            f"leave it out by ~metric.{key}",
        )


def _check_variation(chosen: DictConfig) -> None:
    check_known(chosen, Variation, "sensitivity.")
    values = chosen["values"]
    if chosen.over is None or values is None:
        return
    require(
        isinstance(values, ListConfig) and len(set(map(str, values))) == len(values) >= 2,
        f"sensitivity.values={values}: must be at least two different values",
    )
    require(
        len(values) <= MOST_VALUES,
        f"sensitivity.values: {len(values)} values; compare at most {MOST_VALUES}",
    )


def check_known(node: DictConfig, schema: type, where: str) -> None:
    """Refuse keys that a ``+`` on the command line added to the schema's, or a ``~`` took away."""
    require(
        isinstance(node, DictConfig),
        f"{where.rstrip('.')}={node}: it has keys, such as {where}{fields(schema)[0].name}",
    )
    names = [entry.name for entry in fields(schema)]
    for key in map(str, node):
        require(key in names, f"{where}{key}: no such key{there_is(key, names)}")
    for name in names:
        require(name in set(node), f"{where}{name}: it is needed: leave out the ~{where}{name}")


MOST_THREADS = 4096
MOST = {
    **{"batch_size": 1_000_000, "devices": 4096, "seed": 2**63 - 1, "selection.seed": 2**63 - 1},
    **dict.fromkeys(
        ("selection.limit", "selection.sample", "selection.held_out", "selection.shard.count"),
        10**9,
    ),
}
MOST_VALUES, LONGEST_NOTE = 1_000, 10_000
EXPLAINED = ("probability", "logit", "log_odds")
MAP_COLORS = ("diverging", "single")
SEED = "seed"  # the one key that ``sensitivity.over`` names without being the method's


def varied_key(over: str) -> str:
    """Return the configuration's key for a value of ``sensitivity.over``."""
    return over if over == SEED else f"method.{over}"


@dataclass(frozen=True)
class Target:
    """The classes to explain.

    Attributes
    ----------
    top
        So many first choices of the classifier: k of ``top-k``, 1 of ``predicted``; 0: no choices.
    classes
        Names or indices of the classes of every photo; empty: the photo's labels, or its choices.
    """

    top: int = 0
    classes: tuple[str, ...] = ()

    @property
    def is_label(self) -> bool:
        """Each photo's own labels."""
        return not self.top and not self.classes


def target(value: Any) -> Target:
    """Read ``target``; UserError if it is none."""
    if isinstance(value, ListConfig) and len(value) > 0:
        return Target(classes=tuple(map(str, value)))
    text = str(value)
    if text in ("label", "predicted"):
        return Target(top=int(text == "predicted"))
    if text.isdecimal():
        return Target(classes=(text,))
    choices = re.fullmatch(r"top-([1-9]\d{0,6})", text)
    if choices is None:
        raise UserError(
            f"target={text}: must be label, predicted or top-k, such as top-3, or classes in "
            "brackets, such as target=[tabby,281]"
        )
    return Target(top=int(choices[1]))
