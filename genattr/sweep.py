"""A sweep: one parent run, opened before its members start and closed whatever happens.

Light to import: what is heavy is imported when a sweep really runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from genattr import config
from genattr.errors import UserError

if TYPE_CHECKING:
    from genattr.tracking import MlflowTracking, NoTracking, Run

PARENT = "GENATTR_PARENT_RUN"  # environment variable that tells the members their parent
SWEPT = "GENATTR_SWEPT"  # and which keys differ between them, with commas between
SHOWN_ANYWAY = ("method", "filler", "classifier")  # groups that stand in a run's title


@dataclass
class Sweep:
    """An open sweep in the process that started it."""

    folder: Path
    title: str
    note: str
    tracking: MlflowTracking | NoTracking
    parent: Run
    complete: bool = False


_open: Sweep | None = None


def start(cfg: DictConfig) -> None:
    """Check all members, then create the database, the experiment and the parent run."""
    global _open
    check_members(cfg)
    hydra = cfg.hydra
    folder = Path(hydra.sweep.dir)
    tracking = config.build(cfg.tracking, "tracking")
    tracking.prepare()
    title = _title(hydra)
    parent = tracking.start(title, {}, {"kind": "sweep", "sweep": folder.name})
    tell = {SWEPT: f"'{','.join(_swept(hydra))}'"}
    if parent.run_id is not None:
        tell[PARENT] = parent.run_id
    for name, value in tell.items():
        hydra.overrides.hydra.append(f"++hydra.job.env_set.{name}={value}")
    _open = Sweep(folder, title, cfg.note or "", tracking, parent)


def check_members(cfg: DictConfig) -> None:
    """Compose and check every member, before the first one starts; UserError names the wrong one.

    Only the members of Hydra's own sweeper are known beforehand.
    """
    if not cfg.hydra.sweeper._target_.endswith("BasicSweeper"):
        return
    for number, overrides in enumerate(_members(cfg.hydra)):
        with _naming(f"member {number} of the sweep ({' '.join(overrides)})"):
            _check_member(cfg, overrides)


def _members(hydra: DictConfig) -> list[list[str]]:
    """Return each member's overrides, in the sweeper's order."""
    (members,) = BasicSweeper.split_arguments(_overrides(hydra), max_batch_size=None)
    return members


def _check_member(cfg: DictConfig, overrides: list[str]) -> None:
    from genattr import experiment

    member = GlobalHydra.instance().config_loader().load_sweep_config(cfg, overrides)
    with open_dict(member):
        del member["hydra"]
    experiment.check(member)


@contextmanager
def _naming(member: str) -> Iterator[None]:
    """Put a member's name before what is wrong with it."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{member}: {error}") from error
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(f"{member}: {' '.join(str(error).split())}") from error


def _overrides(hydra: DictConfig) -> list[Override]:
    """Return what the experiment and the command line sweep or set."""
    given = [f"{key}={value}" for key, value in (hydra.sweeper.get("params") or {}).items()]
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())
    return parser.parse_overrides([*given, *hydra.overrides.task])


def _swept(hydra: DictConfig) -> list[str]:
    """Return the keys that differ between the members."""
    return [one.get_key_element() for one in _overrides(hydra) if one.is_sweep_override()]


def _title(hydra: DictConfig) -> str:
    """Name a sweep by its experiment, or else by what is swept."""
    swept = [
        f"{one.key_or_group}={one.get_value_string()}"
        for one in _overrides(hydra)
        if one.is_sweep_override()
    ]
    choices = hydra.runtime.choices
    parts = [choices.get("experiment")] if choices.get("experiment") else swept
    return " · ".join([*parts, choices.classifier])


def mark_complete() -> None:
    """Note that every member has ended well."""
    if _open is not None:
        _open.complete = True


def member_tags() -> dict[str, str]:
    """Return the tags of the running job: empty, or its place in the sweep."""
    hydra = HydraConfig.get()
    if hydra.mode != RunMode.MULTIRUN:
        return {}
    tags = {"kind": "member", "sweep": Path(hydra.sweep.dir).name, "member": str(hydra.job.num)}
    if PARENT in os.environ:
        tags["mlflow.parentRunId"] = os.environ[PARENT]
    return tags


def member_numbers() -> dict[str, float]:
    """Return the job's position and its swept values that are numbers, so that plots can sort."""
    hydra = HydraConfig.get()
    if hydra.mode != RunMode.MULTIRUN:
        return {}
    numbers = {"member": float(hydra.job.num)}
    chosen = _chosen(hydra.overrides.task)
    for key, value in chosen.items():
        short = key.rpartition(".")[2]
        is_alone = [other.rpartition(".")[2] for other in chosen].count(short) == 1
        try:
            numbers[f"sweep/{short if is_alone else key}"] = float(value)
        except ValueError:
            continue
    return numbers


def member_choices() -> str:
    """Say what is special about the job in its sweep, but for what its title and settings say."""
    hydra = HydraConfig.get()
    if hydra.mode != RunMode.MULTIRUN:
        return ""
    return " · ".join(
        f"{key.removeprefix('metric.')} {value}"
        for key, value in _chosen(hydra.overrides.task).items()
        if key not in SHOWN_ANYWAY and not (key.startswith("method.") and _is_number(value))
    )


def _chosen(overrides: Sequence[str]) -> dict[str, str]:
    """Return the job's values of the swept keys; a package's key stands without its group."""
    swept = os.environ.get(SWEPT, "").split(",")
    pairs = (override.partition("=") for override in overrides)
    return {
        key.lstrip("+").rpartition("@")[2]: value.strip("'\"")
        for key, _, value in pairs
        if key in swept
    }


def _is_number(text: str) -> bool:
    return text.lstrip("-").replace(".", "", 1).isdigit()


def finish() -> None:
    """Close the sweep, if there was one: table, comparison picture, where to look."""
    global _open
    if _open is None:
        return
    sweep, _open = _open, None
    try:
        _conclude(sweep)
    finally:
        sweep.parent.close("FINISHED" if sweep.complete else "FAILED")


def _conclude(sweep: Sweep) -> None:
    from genattr import console, gallery
    from genattr.results import SUMMARY, load_summary

    found = [(load_summary(path.parent), path.parent) for path in sweep.folder.rglob(SUMMARY)]
    if not found:
        return
    found.sort(key=lambda pair: pair[0].values["member"])
    summaries, folders = [pair[0] for pair in found], [pair[1] for pair in found]
    console.show_scores(summaries)
    picture = gallery.draw(
        folders, sweep.folder / "comparison.png", title=sweep.title, note=sweep.note
    )
    sweep.parent.files([picture])
    console.say(f"\nPicture:       {picture}")
    console.tell_caveats(summaries)
    console.say(
        sweep.tracking.how_to_look({"kind": "member", "sweep": sweep.folder.name}, "member")
    )
