"""A series: experiments one after the other under one name, each a sweep of its own.

    python run.py experiment=paper

All parts are checked before the first one starts, and one table says what they cost. Each runs in a
process of its own, so that one that is killed takes nothing along. One page about all ends it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pandas as pd
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from genattr import components, console, memory, overrides, stopping
from genattr.errors import UserError, require, there_is
from genattr.files import try_folder, write_text
from genattr.report import build, tabulate
from genattr.report.table import markdown
from genattr.results import find
from genattr.results.find import Source
from genattr.run import cost
from genattr.run.parts import how_it_ended
from genattr.sweep import folders, lifecycle, member
from genattr.told import once
from genattr.tracking.base import Run, Tracking, closing

FINISHED, COSTS = "finished.txt", "costs.md"  # in the series' folder
OWN = ("experiment", "series", "sweep_id", "hydra.sweep.dir", "hydra.run.dir", "hydra.mode")
BROUGHT = {"method": ("filler",), "row": ("filler", "method")}  # what an option chooses, too
NOTES = (
    "Upper bounds; what has finished is left out, and what the store has costs nothing.",
    "A heatmap that several parts need counts in the first of them alone.",
    "inpainted, differentiated: images that an inpainter fills, and those that the classifier's "
    "gradient is taken for.",
)


@dataclass(frozen=True)
class Part:
    """An experiment of a series.

    Attributes
    ----------
    name
        The experiment's.
    folder
        Of its sweep; its name is the part's ``sweep_id``.
    left
        What was typed for the series and is not for this part, which compares values of these keys,
        or of what brings them along.
    """

    name: str
    folder: Path
    left: Sequence[str] = ()

    @property
    def words(self) -> list[str]:
        """The overrides that make it this part."""
        folder = lifecycle.quoted(str(self.folder))
        return [
            f"experiment={self.name}", f"sweep_id={self.folder.name}", f"hydra.sweep.dir={folder}"
        ]  # fmt: skip


class Checked(NamedTuple):
    """A part, how many members it has, and what those cost that have not finished."""

    part: Part
    members: int
    total: cost.Total

    @property
    def is_idle(self) -> bool:
        """Whether no member is left to run."""
        return not self.total.photos

    @property
    def line(self) -> dict[str, str]:
        """Its line in the table of costs."""
        return {"part": self.part.name, "members": f"{self.members:,}"} | _costs(self.total)


def run(cfg: DictConfig) -> NoReturn:
    """Check all parts, say what they cost, run them, and make one report; end the process.

    Parameters
    ----------
    cfg
        The composed configuration, with Hydra's own part.

    Raises
    ------
    UserError
        Names the part whose settings are wrong; nothing has begun then.
    SystemExit
        With code 0 if all parts have finished, and with 1 if one has not.
    """
    place = Path(cfg.hydra.sweep.dir).absolute()
    checked = check_all(cfg, place)
    tracking = components.build(cfg.tracking, "tracking", Tracking)
    tracking.reach()
    folder = folders.own(cfg.hydra.sweep, "sweep_id", is_named=cfg.sweep_id is not None)
    parts = [_part(one.part.name, folder, one.part.left) for one in checked]
    _tell_left(parts)
    _tell_costs(checked, folder)
    memory.free()  # this process keeps its components, and little else
    tracking.prepare()
    record = lifecycle.open_record(tracking, folder, _title(cfg.hydra), "series")
    with closing(record), stopping.keeping(lambda: _kept(parts, folder)):
        failed = _run_all(parts, {one.part.name for one in checked if one.is_idle}, folder)
        _tell_failed(failed, folder, record)
        _report(parts, failed, folder, record)
    if failed:
        record.close("FAILED")
    raise SystemExit(1 if failed else 0)


def _title(hydra: DictConfig) -> str:
    choices = hydra.runtime.choices
    return f"{choices.get('experiment') or 'series'} · {choices.classifier}"


@once()
def check_all(cfg: DictConfig, place: Path) -> list[Checked]:
    """Check all that could stand in the way later, before anything is written.

    Parameters
    ----------
    cfg
        As ``run`` takes it.
    place
        The folder of the series; its parts have theirs beside it.
    """
    lifecycle.check_id(cfg.sweep_id)
    try_folder("hydra.sweep.dir", place)
    ledger, names = cost.Ledger(), _names(cfg)
    console.say(f"Checking {len(names)} experiments")
    return [_check(cfg, _part(name, place), ledger) for name in names]


def _names(cfg: DictConfig) -> list[str]:
    """Return the experiments, each once."""
    options = GlobalHydra.instance().config_loader().get_group_options("experiment")
    names = list(dict.fromkeys(map(str, cfg.series)))
    require(bool(names), f"series=[]: name the experiments; there is {', '.join(options)}")
    for name in names:
        require(name in options, f"series: {name} is no experiment{there_is(name, options)}")
    return names


def _part(name: str, folder: Path, left: Sequence[str] = ()) -> Part:
    """Place a part beside the folder of its series."""
    return Part(name, folder.with_name(f"{folder.name}-{name}"), left)


def _check(cfg: DictConfig, part: Part, ledger: cost.Ledger) -> Checked:
    """Check the members of a part, and add up what those cost that have not finished."""
    total = cost.Total(ledger)
    try:
        composed = _compose(cfg, part)
        require(composed.series is None, "it is a series itself, and no part of one")
        part = replace(part, left=_left(_typed(cfg), composed.hydra.sweeper.get("params") or {}))
        composed = _compose(cfg, part) if part.left else composed
        names, *_ = lifecycle.check_members(composed, part.folder, total)
    except UserError as error:
        raise UserError(f"{part.name}: {error}") from error
    return Checked(part, len(names), total)


def _left(typed: Sequence[str], params: Mapping[str, Any]) -> list[str]:
    """Return single values that were typed for keys that a part varies, or that come with these.

    Parameters
    ----------
    params
        Of the part's sweep, unless several values were typed for them.
    """
    several = {overrides.key_of(word) for word in typed if _varies(word)}
    varied = {key for key, value in params.items() if _varies(f"{key}={value}")} - several
    brought = {other for key in varied for other in BROUGHT.get(key, ())} - params.keys()
    kept_out = (varied | brought) - several
    return [word for word in typed if overrides.key_of(word) in kept_out]


def _compose(cfg: DictConfig, part: Part) -> DictConfig:
    loader = GlobalHydra.instance().config_loader()
    assert isinstance(loader, ConfigLoaderImpl)
    words = [*(word for word in _typed(cfg) if word not in part.left), *part.words]
    return overrides.compose(loader, cfg.hydra.job.config_name, words, RunMode.MULTIRUN)


def _typed(cfg: DictConfig) -> list[str]:
    """Return the overrides that are for the parts."""
    words = OmegaConf.to_container(cfg.hydra.overrides, resolve=False)
    assert isinstance(words, dict)
    return [word for word in words["hydra"] + words["task"] if overrides.key_of(word) not in OWN]


def _varies(word: str) -> bool:
    """Whether an override has several values, one a member."""
    return OverridesParser.create().parse_override(word).is_sweep_override()


def _tell_left(parts: Sequence[Part]) -> None:
    """Say which parts do not take what was typed."""
    for word in dict.fromkeys(word for part in parts for word in part.left):
        names = ", ".join(part.name for part in parts if word in part.left)
        console.say(f"{word}: not for {names}: values of it are compared there")


def _costs(total: cost.Total) -> dict[str, str]:
    """Write what a total holds, for people."""
    counts = {
        "photos": len(total.photos),
        "heatmaps": total.heatmaps,
        "images": total.images,
        "inpainted": total.filled,
        "differentiated": total.differentiated,
    }
    return {name: f"{count:,}" for name, count in counts.items()} | {
        "about": cost.human(total.seconds)
    }


def _tell_costs(checked: Sequence[Checked], folder: Path) -> None:
    """Print the table of costs, and write it into the series' folder."""
    whole = cost.Total()
    for one in checked:
        whole.join(one.total)
    sums = Checked(Part("all", folder), sum(one.members for one in checked), whole)
    frame = pd.DataFrame([one.line for one in (*checked, sums)])
    console.say("")
    tabulate.draw(frame)
    for note in NOTES:
        console.say(f"- {note}")
    write_text(folder / COSTS, "\n\n".join([markdown(frame), *NOTES]) + "\n")


def _run_all(parts: Sequence[Part], idle: set[str], folder: Path) -> dict[str, str]:
    """Run all parts but the finished ones; return why some have failed, by their names.

    Parameters
    ----------
    idle
        Names of the parts of which no member is left to run.
    folder
        The series', which keeps a list of the parts that came to their end.
    """
    failed = dict[str, str]()
    for number, part in enumerate(parts, start=1):
        console.say("\n" + f"Part {number} of {len(parts)}:".ljust(15) + part.name)
        if part.name in idle & _finished(folder):
            console.say("finished before")
            continue
        _note(folder, _finished(folder) - {part.name})
        if code := _run(part, lifecycle.again(folder)):
            failed[part.name] = _why(code)
        else:
            _note(folder, _finished(folder) | {part.name})
    return failed


def _finished(folder: Path) -> set[str]:
    """Return the names of the parts that came to their end."""
    file = folder / FINISHED
    return set(file.read_text(encoding="utf-8").split()) if file.is_file() else set()


def _note(folder: Path, finished: set[str]) -> None:
    write_text(folder / FINISHED, "\n".join(sorted(finished)))


def _kept(parts: Sequence[Part], folder: Path) -> str:
    done = len(_finished(folder) & {part.name for part in parts})
    return f"{done} of {len(parts)} parts have finished; to go on: {lifecycle.again(folder)}"


def _run(part: Part, again: str) -> int:
    """Run a part in a process of its own, which ends with this one; return its exit code."""
    typed = [word for word in sys.argv[1:] if not _is_own(word) and word not in part.left]
    program = ["-m", "genattr"] if Path(sys.argv[0]).name == "__main__.py" else [sys.argv[0]]
    command = [sys.executable, *program, "-m", *typed, *part.words]
    sys.stdout.flush()
    with subprocess.Popen(command, env=os.environ | {member.SERIES: again}) as process:  # noqa: S603
        try:
            return process.wait()
        except BaseException:
            process.terminate()  # it closes its work, and has perhaps begun to
            process.wait()
            raise


def _is_own(word: str) -> bool:
    return "=" in word and overrides.key_of(word) in OWN


def _why(code: int) -> str:
    """Tell how a part has failed, by its exit code."""
    return f"exit code {code}: its lines above tell why" if 0 < code < 128 else how_it_ended(code)


def _tell_failed(failed: Mapping[str, str], folder: Path, record: Run) -> None:
    lines = [f"{name}: {why}" for name, why in failed.items()]
    for line in lines:
        console.say(f"Failed:        {line}")
    if failed:
        console.say(f"To go on:      {lifecycle.again(folder)}")
        record.tag("failed", "; ".join(lines))


def _sources(parts: Sequence[Part]) -> Iterator[Source]:
    """Yield the parts of which something has finished."""
    for part in parts:
        with suppress(UserError):
            yield find.find(str(part.folder), None, find.WITH_EXAMPLES, part.folder)


@once()
def _report(parts: Sequence[Part], failed: Mapping[str, str], folder: Path, record: Run) -> None:
    """Make one page about what has finished of all parts, and record it."""
    sources = list(_sources(parts))
    if not sources:
        return
    notes = [f"{name} has not finished: {why}" for name, why in failed.items()]
    page = build.make(sources, folder / "report", notes=notes, linked=True)
    record.folder(folder / "report")
    record.files([folder / COSTS])
    lifecycle.tell_what_is_not_recorded(folder)
    console.say(f"\nTables:        {page.with_name('table.md')}")
    console.say(f"Report:        {page}")
