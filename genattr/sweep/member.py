"""The running job's place in a sweep, and the note that it writes when it has ended.

Fast to import, as ``genattr.sweep`` is.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from genattr import config
from genattr.config import varied_key
from genattr.files import write_text, writing
from genattr.told import without_secrets, without_secrets_in

PARENT = "GENATTR_PARENT_RUN"  # environment variable with the id of the members' parent run
SWEPT = "GENATTR_SWEPT"  # with the keys that differ between the members, separated by commas
COMPARABLE = "GENATTR_COMPARABLE"  # with the keys over which heatmaps may be compared
EXTRAS = "GENATTR_EXTRAS"  # with what the members' titles need to differ: OPTION, NUMBER
PROGRAM = "GENATTR_PROGRAM"  # with the program that started the sweep
SERIES = "GENATTR_SERIES"  # with the command that goes on with the series that a sweep is part of
OPTION, NUMBER = "option", "number"
NOTE = "member.json"
SHOWN_ANYWAY = ("method", "filler", "classifier", "row")  # groups that a run's title contains
ESCAPED = re.compile(r"\\([ :])")  # by Hydra, which reads these characters as they are, too
LEFT_OUT = ("method.", "metric.", "protocol.", "selection.")  # before the keys in a title
TRUST = "trust"
WITHOUT_EFFECT = (
    "sweep_id", "experiment", "series", "note", "table", "tracking", "store", "device", "devices",
    "threads", "trust", "tune_allocator",
)  # fmt: skip


@dataclass(frozen=True)
class Note:
    """How a member ended.

    Attributes
    ----------
    name
        What sets it apart, such as "method=sp seed=1".
    config
        Hash of the configuration that determines its results.
    error
        Why it failed; None: it finished.
    inputs
        Hash of each kind of input, such as its photos, as they were before it ran; empty if that
        is not known.
    """

    name: str
    config: str
    error: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_finished(self) -> bool:
        """Whether the member ran to its end."""
        return self.error is None

    def save(self, folder: Path) -> None:
        """Write the note atomically."""
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / NOTE, json.dumps(without_secrets_in(asdict(self))))


def read_note(folder: Path) -> Note | None:
    """Return the note of a member that has ended; a damaged one counts as absent."""
    path = folder / NOTE
    try:
        return Note(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None
    except (ValueError, TypeError):
        return None


def finished_note(folder: Path) -> Note | None:
    """Return the note of a member that has finished."""
    note = read_note(folder)
    return note if note is not None and note.has_finished else None


def is_member() -> bool:
    """Whether the running job is part of a sweep."""
    return bool(HydraConfig.get().mode == RunMode.MULTIRUN)


def is_in_series() -> bool:
    """Whether this process runs a part of a series, which another process started."""
    return SERIES in os.environ


def name(overrides: Sequence[str], swept: Sequence[str]) -> str:
    """Name a member by those of its overrides that set it apart."""
    return " ".join(override for override in overrides if override.partition("=")[0] in swept)


def running_name() -> str:
    """Name the running member."""
    return name(HydraConfig.get().overrides.task, swept())


def fingerprint(cfg: DictConfig) -> str:
    """Hash the part of a configuration that determines a run's results."""
    values = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(values, dict)
    kept = _without_trust({k: value for k, value in values.items() if k not in WITHOUT_EFFECT})
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()


def _without_trust(value: Any) -> Any:
    """Leave out, at any depth, whether files may run code."""
    if isinstance(value, dict):
        return {str(key): _without_trust(one) for key, one in value.items() if key != TRUST}
    return value


def for_member(cfg: DictConfig, swept: Sequence[str]) -> DictConfig:
    """Leave the comparison over a key to the sweep, where the sweep varies that key."""
    over = cfg.sensitivity.over
    if over is not None and varied_key(over) in swept:
        cfg = cfg.copy()
        with open_dict(cfg):
            cfg.sensitivity["values"] = None
    return cfg


def is_known_beforehand() -> bool:
    """Whether Hydra's own sweeper chose the running member, which lists all members first."""
    return is_basic(HydraConfig.get().sweeper._target_)


def has_a_follower() -> bool:
    """Whether the next member runs in this process, and nobody waits for this one's results."""
    hydra = HydraConfig.get()
    in_turn = str(hydra.launcher._target_).endswith("BasicLauncher")
    return in_turn and is_known_beforehand() and not hydra.job.chdir


def is_basic(sweeper: str) -> bool:
    """Whether a sweeper, named by its class, is Hydra's own, whose members are known beforehand."""
    return sweeper.endswith("BasicSweeper")


def tags(cfg: DictConfig) -> dict[str, str]:
    """Return the tags of the running member: its place in the sweep."""
    hydra = HydraConfig.get()
    place = {"kind": "member", "sweep": Path(hydra.sweep.dir).name, "member": str(hydra.job.num)}
    place["config"] = fingerprint(cfg)
    if PARENT in os.environ:
        place["mlflow.parentRunId"] = os.environ[PARENT]
    return place


def chosen() -> dict[str, str]:
    """Return the running member's values of the swept keys."""
    return values_of(HydraConfig.get().overrides.task, swept())


def values_of(overrides: Sequence[str], swept: Sequence[str]) -> dict[str, str]:
    """Return a member's values of the swept keys.

    The key of an option in a package, ``group@package``, is the package alone.
    """
    pairs = (override.partition("=") for override in overrides)
    return {
        key.lstrip("+").rpartition("@")[2]: value.strip("'\"")
        for key, _, value in pairs
        if key in swept
    }


def running_title(titles: Mapping[str, str]) -> str:
    """Title the running member, as ``title`` does."""
    extras = os.environ.get(EXTRAS, "").split(",")
    return title(titles, chosen(), extras, HydraConfig.get().job.num)


def running_command() -> str:
    """Return the shell's command that makes the running member by itself, without secrets."""
    hydra = HydraConfig.get()
    alone = ["hydra.mode=RUN"] if hydra.runtime.choices.get("experiment") else []
    words = [ESCAPED.sub(r"\1", word) for word in (*hydra.overrides.task, *alone)]
    return shell(os.environ.get(PROGRAM, config.program()), words)


def command() -> str:
    """Return the shell's command that started this process, without secrets."""
    return shell(config.program(), sys.argv[1:])


def shell(program: str, arguments: Sequence[str]) -> str:
    """Quote the words of a command; passwords in addresses and the like become stars."""
    shown = [without_secrets(word) for word in arguments]
    return f"{program} {shlex.join(shown)}".strip()


def title(
    titles: Mapping[str, str], values: Mapping[str, str], extras: Sequence[str], number: int
) -> str:
    """Name a member for people by its method and what its sweep varies: "SP · patch_size 5".

    Parameters
    ----------
    titles
        Of its method, filler and classifier. The filler stands beside a method that nothing else
        sets apart.
    values
        Of the swept keys.
    extras
        ``OPTION``: the options of swept groups stand beside their titles; ``NUMBER``: so does the
        member's number.
    """
    alone = "filler" if set(values) <= {"method"} else ""
    parts = [name for part, name in titles.items() if part in ("method", alone, *values)]
    if OPTION in extras:
        parts += [values[part] for part in titles if part in values]
    parts += [_in_words(key, values, titles) for key in values if key not in titles]
    if NUMBER in extras:
        parts.append(f"#{number}")
    return " · ".join(dict.fromkeys(parts))


def extras_for(members: Sequence[tuple[Mapping[str, str], Mapping[str, str]]]) -> Sequence[str]:
    """Return what the titles of members, given as titles and values, need to differ."""
    for extras in ((), (OPTION,)):
        names = {title(titles, values, extras, 0) for titles, values in members}
        if len(names) == len(members):
            return extras
    return (NUMBER,)


def _in_words(key: str, values: Mapping[str, str], titles: Mapping[str, str]) -> str:
    """Write a swept key and its value, without what goes without saying."""
    value = values[key]
    if key == "row" or value == titles.get(key.partition(".")[0]):
        return value
    return f"{key if _short(key) in map(_short, set(values) - {key}) else _short(key)} {value}"


def _short(key: str) -> str:
    """Leave out a key's group where the rest tells enough."""
    return key.partition(".")[2] if key.startswith(LEFT_OUT) else key


def numbers(number: float, values: Mapping[str, str]) -> dict[str, float]:
    """Return a member's position and its swept values that are numbers, so that plots can sort."""
    record = {"member": float(number)}
    for key, value in values.items():
        short = key.rpartition(".")[2]
        is_alone = [other.rpartition(".")[2] for other in values].count(short) == 1
        with suppress(ValueError):
            record[f"sweep/{short if is_alone else key}"] = float(value)
    return record


def choices(values: Mapping[str, str]) -> str:
    """List the swept values of a member that its title and settings do not show."""
    return " · ".join(
        f"{key.removeprefix('metric.')} {value}"
        for key, value in values.items()
        if key not in SHOWN_ANYWAY and not (key.startswith("method.") and _is_number(value))
    )


def swept() -> list[str]:
    """Return the keys that differ between the members, from the sweep's environment variable."""
    return os.environ.get(SWEPT, "").split(",")


def comparable() -> tuple[str, ...]:
    """Return the keys over which heatmaps may be compared, from the environment variable."""
    return tuple(filter(None, os.environ.get(COMPARABLE, "").split(",")))


def _is_number(text: str) -> bool:
    return text.lstrip("-").replace(".", "", 1).isdigit()
