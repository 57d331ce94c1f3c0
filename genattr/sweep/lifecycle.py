"""A sweep: one parent run, opened before its members start and closed even after errors.

Fast to import: heavy modules are imported only when a sweep runs.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from genattr import config, overrides, stopping
from genattr.errors import UserError, first_line, in_one_line, obstacle, require
from genattr.files import try_folder
from genattr.sweep import behind, member
from genattr.told import once, without_secrets

if TYPE_CHECKING:
    from genattr.results.finished import Member
    from genattr.results.summary import Summary
    from genattr.run.cost import Total
    from genattr.run.study import Study
    from genattr.tracking.base import Run, Tracking


@dataclass
class Sweep:
    """An open sweep in the process that started it.

    Attributes
    ----------
    store
        Configuration of ``tracking``.
    members
        Names of the members, by number; empty if another sweeper than Hydra's own chooses them.
    """

    folder: Path
    title: str
    note: str
    store: DictConfig
    tracking: Tracking
    parent: Run
    members: Sequence[str]
    complete: bool = False


UNFINISHED = "did not finish"
MOST_MEMBERS = 100_000  # of a sweep, each of which is checked before the first one starts
_open: Sweep | None = None


def start(cfg: DictConfig) -> Path:
    """Check all members, then create the database, the experiment and the parent run.

    A sweep that was started before, by its folder or its ``sweep_id``, continues under its parent.

    Returns
    -------
    The sweep's folder.
    """
    global _open
    from genattr import console
    from genattr.run import cost
    from genattr.sweep import folders

    hydra = cfg.hydra
    check_id(cfg.sweep_id)
    place = Path(hydra.sweep.dir).absolute()
    try_folder("hydra.sweep.dir", place)
    _require_inside(hydra)
    total = cost.Total()
    names, outdated, extras = check_members(cfg, place, total)
    if names:
        total.announce(len(names))
    tracking = _tracking(cfg.tracking)
    tracking.reach()
    folder = folders.own(hydra.sweep, "sweep_id", is_named=cfg.sweep_id is not None)
    console.say("Preparing the sweep")
    tracking.prepare()
    for number, reason in outdated.items():
        _set_back(folder, number, reason)
    title = _title(hydra)
    parent = open_record(tracking, folder, title, "sweep")
    notes = {
        member.SWEPT: f"'{','.join(_swept(hydra))}'",
        member.COMPARABLE: f"'{','.join(_comparable())}'",
        member.EXTRAS: f"'{','.join(extras)}'",
        member.PROGRAM: f"'{config.program()}'",
    }
    if parent.run_id is not None:
        notes[member.PARENT] = parent.run_id
    for name, value in notes.items():
        hydra.overrides.hydra.append(f"++hydra.job.env_set.{name}={value}")
    if folder != place:
        hydra.overrides.hydra.append(f"hydra.sweep.dir={quoted(str(folder))}")
    store = OmegaConf.create(OmegaConf.to_container(cfg.tracking, resolve=True))
    assert isinstance(store, DictConfig)
    _open = Sweep(folder, title, cfg.note or "", store, tracking, parent, names)
    return folder


def _require_inside(hydra: DictConfig) -> None:
    """Refuse folders of members that do not lie in the sweep's own."""
    written: Any = OmegaConf.to_container(hydra.sweep, resolve=False)
    subdir = str(written["subdir"])
    parts = re.split(r"[/\\]", subdir)
    require(
        not {"", ".", ".."} & set(parts),
        f"hydra.sweep.subdir={subdir}: must be a folder in that of the sweep, of its own for each "
        "member, such as the number that it has by default",
    )


def check_id(sweep_id: str | None) -> None:
    """Refuse a ``sweep_id`` that is no plain name of a folder."""
    require(
        sweep_id is None or bool(re.fullmatch(r"\w[\w.-]*", str(sweep_id))),
        f"sweep_id={sweep_id}: must be a name, of letters, digits, -, _ and .",
    )


def quoted(value: str) -> str:
    """Quote a value for Hydra's overrides."""
    escaped = value.replace("'", "\\'")
    return f"'{escaped}'"


def _tracking(node: DictConfig) -> Tracking:
    from genattr import components
    from genattr.tracking.base import Tracking

    return components.build(node, "tracking", Tracking)


def open_record(tracking: Tracking, folder: Path, title: str, kind: str) -> Run:
    """Open the run of a sweep or a series, or that of the time before, in a prepared store."""
    from genattr.tracking.journal import Kept, Opening

    tags = {"kind": kind, "sweep": folder.name}
    with tracking.telling():
        opened = _parent(tracking, folder, title, tags)
    return Kept(opened, folder, Opening(title, {}, tags, *tracking.place), is_begun=True)


def _parent(tracking: Tracking, folder: Path, title: str, tags: Mapping[str, str]) -> Run:
    """Open a parent run, or reopen it if the sweep was started before."""
    begun = tracking.find(tags)
    if not begun:
        return tracking.start(title, {}, tags)
    from genattr.results.summary import SUMMARY, load_summary

    kept = {load_summary(path.parent).run_id for path in folder.rglob(SUMMARY) if _counts(path)}
    for run_id in tracking.find({"kind": "member", "sweep": folder.name}):
        if run_id not in kept:
            tracking.reopen(run_id).tag("kind", "attempt")
    parent = tracking.reopen(begun[-1])
    parent.resume()
    return parent


def _counts(summary: Path) -> bool:
    """Whether a summary in a sweep's folder is a finished member's, or of merged shards."""
    return member.finished_note(summary.parent) is not None


def _set_back(folder: Path, number: int, reason: str) -> None:
    """Make a finished member one that has to run again, and what shards were merged with it."""
    from genattr.results.finished import MERGED
    from genattr.results.summary import SUMMARY

    place = folder / str(number)
    note = member.read_note(place)
    assert note is not None
    replace(note, error=reason).save(place)
    for summary in (place / SUMMARY, *(folder / MERGED).glob(f"*/{SUMMARY}")):
        summary.unlink(missing_ok=True)


@once()
def check_members(
    cfg: DictConfig, folder: Path, total: Total
) -> tuple[list[str], dict[int, str], Sequence[str]]:
    """Compose and check every member before the first one starts, and add up what they cost.

    Only the members of Hydra's own sweeper are known beforehand.

    Parameters
    ----------
    folder
        The sweep's.
    total
        Gets the cost of those that have not finished.

    Returns
    -------
    The members' names, why finished ones have to run again, by their numbers, and what the
    members' titles need to differ.

    Raises
    ------
    UserError
        Names the member that is wrong, or whose folder holds another sweep's member.
    """
    sweeper = cfg.hydra.sweeper
    require(
        isinstance(sweeper, DictConfig),
        f"hydra.sweeper={sweeper}: one is chosen by a slash: hydra/sweeper={sweeper}",
    )
    if not member.is_basic(sweeper._target_):
        require(
            cfg.sweep_id is None,
            f"sweep_id={cfg.sweep_id}: {_name(sweeper)} chooses members as it goes, and "
            "cannot go on with a sweep: leave sweep_id out",
        )
        return [], {}, (member.NUMBER,)
    from genattr import console

    members, outdated, titled = _members(cfg.hydra), {}, []
    for number, words in enumerate(console.watched("checking members", members, len(members))):
        with _naming(cfg, number, words):
            study, reason = _check_member(cfg, words, folder / str(number), total)
        titled.append((study.titles, member.values_of(words, _swept(cfg.hydra))))
        if reason:
            console.say(f"member {number}: {reason}: it runs again")
            outdated[number] = reason
    names = [member.name(words, _swept(cfg.hydra)) for words in members]
    return names, outdated, member.extras_for(titled)


def _members(hydra: DictConfig) -> list[list[str]]:
    """Return each member's overrides, in the sweeper's order; UserError if they are too many."""
    counts = {one.get_key_element(): _count(one) for one in _overrides(hydra)}
    count = prod(counts.values())
    most = max(counts, key=lambda key: counts[key])
    require(
        count <= MOST_MEMBERS,
        f"a sweep of {MOST_MEMBERS} members or more, most of them by {most}: give fewer values",
    )
    (members,) = BasicSweeper.split_arguments(_overrides(hydra), max_batch_size=None)
    return members


def _count(override: Override) -> int:
    """Count the values of an override, up to more than a sweep may have."""
    if not override.is_sweep_override():
        return 1
    try:
        value = override.value()
        one_by_one = value.range() if isinstance(value, RangeSweep) else override.sweep_iterator()
        count = sum(1 for _ in islice(one_by_one, MOST_MEMBERS + 1))
    except (HydraException, ValueError) as error:
        raise UserError(f"{override.input_line}: {first_line(error)}") from error
    require(count > 0, f"{override.input_line}: there is no such value")
    return count


def _check_member(
    cfg: DictConfig, words: list[str], folder: Path, total: Total
) -> tuple[Study, str]:
    """Check a member; return it, and why it has to run again if it has finished; else empty."""
    from genattr.run import experiment

    composed = GlobalHydra.instance().config_loader().load_sweep_config(cfg, words)
    with open_dict(composed):
        del composed["hydra"]
    composed = member.for_member(composed, _swept(cfg.hydra))
    study, photos = experiment.check(composed)
    note = member.finished_note(folder)
    require(
        note is None or note.config == member.fingerprint(composed),
        f"{folder} holds a finished member of another sweep ({note.name if note else ''}): "
        "start a new one; it finds the finished heatmaps in the store",
    )
    reason = "" if note is None else _changed(note, study, folder)
    if note is None or reason:
        total.add(study, photos)
    return study, reason


def _changed(note: member.Note, study: Study, folder: Path) -> str:
    """Say what a finished member has read or left that is not as it was; empty if nothing."""
    from genattr.results.summary import load_summary
    from genattr.run import inputs

    try:
        load_summary(folder)
    except (UserError, ValueError, TypeError, OSError):
        return "its summary cannot be read"
    if not note.inputs:
        return "an earlier version did not note what it had read"
    changed = inputs.changes(note.inputs, inputs.digest(study))
    return f"its {' and '.join(changed)} have changed" if changed else ""


@contextmanager
def _naming(cfg: DictConfig, number: int, words: Sequence[str]) -> Iterator[None]:
    """Put a member's name before the messages of its errors."""
    name = f"member {number} of the sweep ({' '.join(words)})"
    try:
        yield
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    except overrides.REFUSED as error:
        loader = GlobalHydra.instance().config_loader()
        assert isinstance(loader, ConfigLoaderImpl)
        told = overrides.told(error, words, loader, cfg.hydra.job.config_name)
        raise UserError(f"{name}: {told}") from error


def _overrides(hydra: DictConfig) -> list[Override]:
    """Return the overrides of the experiment's sweep and of the command line."""
    params = [f"{key}={value}" for key, value in (hydra.sweeper.get("params") or {}).items()]
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())
    return parser.parse_overrides([*params, *hydra.overrides.task])


def _swept(hydra: DictConfig) -> list[str]:
    """Return the keys that differ between the members."""
    return [
        override.get_key_element() for override in _overrides(hydra) if override.is_sweep_override()
    ]


def _comparable() -> list[str]:
    """Return the keys that the options of the group ``sensitivity`` name, on any search path."""
    loader = GlobalHydra.instance().config_loader()
    names = [f"sensitivity/{option}" for option in loader.get_group_options("sensitivity")]
    nodes = [
        loader.load_configuration(name, [], RunMode.RUN, validate_sweep_overrides=False)
        for name in names
    ]
    return sorted({str(node.sensitivity.over) for node in nodes if node.sensitivity.over})


def _name(sweeper: DictConfig) -> str:
    return str(sweeper._target_).rpartition(".")[2]


def _title(hydra: DictConfig) -> str:
    """Name a sweep by its experiment, or else by its swept keys."""
    swept = [
        f"{override.key_or_group}={override.get_value_string()}"
        for override in _overrides(hydra)
        if override.is_sweep_override()
    ]
    choices = hydra.runtime.choices
    parts = [choices.get("experiment")] if choices.get("experiment") else swept
    return " · ".join([*parts, choices.classifier])


def mark_complete() -> None:
    """Mark that Hydra has run every member."""
    if _open is not None:
        _open.complete = True


def finish() -> bool:
    """Close the sweep, if there was one; print table, comparison, failures and where to look.

    Returns
    -------
    Whether all members have finished.
    """
    global _open
    if _open is None:
        return True
    sweep, _open = _open, None
    status = "FAILED"
    try:
        behind.wait()
        status = _ended(sweep)
    except (KeyboardInterrupt, SystemExit) as stopped:
        status = "KILLED"
        stopping.add(stopped, _kept(sweep, _failed(sweep)))
        raise
    finally:
        sweep.parent.close(status)
        tell_what_is_not_recorded(sweep.folder)
    return status == "FINISHED"


def _ended(sweep: Sweep) -> str:
    """Conclude a sweep; tell what has failed, and return its status."""
    failed = _failed(sweep)
    status = "FINISHED" if sweep.complete and not failed else "FAILED"
    stopped = sys.exc_info()[1]
    if stopping.was_asked(stopped):
        status = "KILLED"
        stopping.add(stopped, _kept(sweep, failed))
    fault = _concluded(sweep)
    failed |= {"the sweep's own files": fault} if fault else {}
    _tell_failed(sweep, failed, go_on=status != "KILLED")
    return "FAILED" if fault else status


def tell_what_is_not_recorded(folder: Path) -> None:
    """Say what a tracking store has missed, if it has missed anything."""
    from genattr import console
    from genattr.tracking.journal import not_recorded

    if left := not_recorded(folder):
        console.say(left)


def _concluded(sweep: Sweep) -> str:
    """Conclude; return what of the machine stood in the way, such as a full disk; else empty."""
    try:
        _conclude(sweep)
    except Exception as error:
        if obstacle(error) is None:
            raise
        return in_one_line(error)
    return ""


def _failed(sweep: Sweep) -> dict[str, str]:
    """Return the reasons of the members that have not finished, by name."""
    notes = map(member.read_note, (p.parent for p in sweep.folder.rglob(member.NOTE)))
    ended = {note.name: note.error for note in notes if note is not None}
    names = dict.fromkeys([*sweep.members, *ended])
    reasons = {name: ended.get(name, UNFINISHED) for name in names}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def _kept(sweep: Sweep, failed: Mapping[str, str]) -> str:
    """Say how many members of a stopped sweep have finished, and which command goes on."""
    if not sweep.members:
        return "a sweeper that chooses members as it goes cannot go on; heatmaps are found again"
    done = len(sweep.members) - len(failed)
    return f"{done} of {len(sweep.members)} members have finished; to go on: {again(sweep.folder)}"


def again(folder: Path) -> str:
    """Return the command that goes on with a sweep, or with the series that it is part of."""
    words = (word for word in sys.argv[1:] if not word.startswith("sweep_id="))
    command = shlex.join([*map(without_secrets, words), f"sweep_id={folder.name}"])
    return os.environ.get(member.SERIES, f"{config.program()} {command}")


def how_to_go_on() -> str:
    """Say how much of the open sweep has finished, and what goes on; empty if none is open."""
    return "" if _open is None else _kept(_open, _failed(_open))


def _tell_failed(sweep: Sweep, failed: Mapping[str, str], *, go_on: bool) -> None:
    """Name the members that failed, and of a sweep that was not stopped those that are left."""
    if not failed:
        return
    from genattr import console

    lines = [f"{name}: {reason}" for name, reason in failed.items()]
    for line in lines:
        if go_on or not line.endswith(f": {UNFINISHED}"):
            console.say(f"Failed:        {line}")
    if go_on and len(lines) < len(sweep.members):
        same = f"the same command with sweep_id={sweep.folder.name}"
        console.say(f"To go on:      {os.environ.get(member.SERIES, same)}")
    sweep.parent.tag("failed", "; ".join(lines)[:5000])


def _conclude(sweep: Sweep) -> None:
    """Show the members' results, and compare them if they are numbered beforehand."""
    from genattr import console
    from genattr.results import description, examples, finished, lead, show
    from genattr.sweep import shards

    members = finished.finished(sweep.folder)
    if sweep.members:
        members = shards.merge_all(members, sweep.folder, sweep.store, sweep.parent)
    if not members:
        return
    summaries = [member.summary for member in members]
    show.show_scores(summaries)
    picture = examples.draw(
        [member.folder for member in members],
        sweep.folder / "comparison.png",
        title=sweep.title,
        note=sweep.note,
    )
    sweep.parent.files([picture])
    if sweep.members:
        _compare(sweep, members)
    samples = examples.draw_samples(
        [member.folder for member in members], sweep.folder / "samples.png", title=sweep.title
    )
    console.say(f"\nPicture:       {picture}")
    if samples is not None:
        sweep.parent.files([samples])
        console.say(f"Samples:       {samples}")
    show.show_caveats(summaries)
    open_scores = lead.undecided(members)
    if open_scores:
        console.say(f"Undecided:     {open_scores}")
    text = description.of_sweep(sweep.title, sweep.note, summaries, picture, member.command())
    sweep.parent.describe(text)
    members_of = {"kind": "member", "sweep": sweep.folder.name}
    console.say(sweep.tracking.how_to_look(members_of, "member", _columns(summaries)))


def _columns(summaries: Sequence[Summary]) -> list[str]:
    """Return the numbers that tell members apart: their scores, and similarities to the others."""
    names = [name for summary in summaries for name in summary.scores]
    similar = [f"sensitivity/{name}" for name in ("ssim", "ssim_to_others")]
    return list(dict.fromkeys(names)) or similar


def _compare(sweep: Sweep, members: Sequence[Member]) -> None:
    """Compare the members' heatmaps over a key, and make the sweep's table, if it has one."""
    from genattr import console
    from genattr.report import tabulate
    from genattr.results import groups

    try:
        groups.conclude(members, sweep.folder, sweep.title, sweep.parent, sweep.tracking)
    except UserError as error:
        console.say(f"Not compared:  {error}")
    tabulate.conclude(members, sweep.folder, sweep.parent)
