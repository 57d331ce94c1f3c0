"""Finished runs that differ in one key alone, and the comparison of their heatmaps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from genattr import config, console
from genattr.analysis.sensitivity import Sensitivity, compare
from genattr.errors import UserError, require
from genattr.results import comparison, show
from genattr.results.finished import Member
from genattr.tracking.base import NoTracking, Run
from genattr.tracking.mlflow import MlflowTracking

NOT_SPECIAL = ("sensitivity.", "protocol.", "tracking.")  # keys that set no heatmaps apart
IN_TITLE = ("method._target_", "method.requires_inpainter", "filler._target_")


@dataclass(frozen=True)
class Group:
    """Members that differ in one key alone.

    Attributes
    ----------
    title
        What they have in common, and what sets them apart from other groups.
    over
        The key that varies.
    members
        By its value.
    """

    title: str
    over: str
    members: Mapping[str, Member]

    def compare(self) -> Sensitivity:
        """Compare the heatmaps of the photos that all members explain; UserError if none."""
        photos = [set(member.photos) for member in self.members.values()]
        common = set.intersection(*photos)
        require(len(common) > 0, f"{self.title}: no photo is explained by all members")
        left_out = len(set.union(*photos)) - len(common)
        if left_out:
            console.say(f"Left out:      {left_out} photos that some member of {self.title} lacks")
        maps = {value: member.heatmaps(common) for value, member in self.members.items()}
        size = next(iter(self.members.values())).size
        try:
            return compare(self.title, self.over, maps, size)
        except ValueError as error:
            raise UserError(f"{self.title}: {error}") from error


def key_of(over: str) -> str:
    """Return the configuration's key of what ``sensitivity.over`` names."""
    return over if over == "seed" else f"method.{over}"


def known() -> list[str]:
    """Return what the options of the group ``sensitivity`` vary."""
    nodes = [OmegaConf.load(path) for path in (config.folder() / "sensitivity").glob("*.yaml")]
    return sorted(node["over"] for node in nodes if isinstance(node, DictConfig) and node["over"])


def infer_over(members: Sequence[Member]) -> str | None:
    """Return the key to compare over: the chosen one, or the only known one that varies."""
    varying = [over for over in known() if len(_values(members, key_of(over))) > 1]
    chosen = members[0].config.get("sensitivity.over", "None")
    if chosen != "None":
        return chosen if len(_values(members, key_of(chosen))) > 1 else None
    return varying[0] if len(varying) == 1 else None


def groups(members: Sequence[Member], over: str) -> list[Group]:
    """Group members that differ in one key alone; a group of one is left out."""
    key = key_of(over)
    apart = [one for one in _varying(members) if one != key]
    found: dict[tuple[str | None, ...], list[Member]] = {}
    for member in members:
        if key in member.config:
            found.setdefault(tuple(map(member.config.get, apart)), []).append(member)
    made = []
    for group in found.values():
        by_value = {member.config[key]: member for member in sorted(group, key=_by(key))}
        if len(by_value) > 1:
            made.append(Group(_title(group[0], members, apart), over, by_value))
    return made


def compare_all(members: Sequence[Member], over: str | None = None) -> list[Sensitivity]:
    """Compare the members over a key, each group by itself, and note it in the members' records.

    Without a key that varies, what members found by themselves (``sensitivity=`` in each) is
    gathered.
    """
    over = over or (infer_over(members) if members else None)
    if over is None:
        return [own(member, members) for member in members if comparison.read(member.folder)]
    return [group.compare() for group in groups(members, over)]


def to_others(
    members: Sequence[Member], compared: Sequence[Sensitivity]
) -> Iterator[tuple[Member, dict[str, float]]]:
    """Yield each compared member with its mean similarity to the others of its group."""
    for one in compared:
        for group in groups(members, one.over):
            if group.title == one.title:
                for value, member in group.members.items():
                    means = one.to_others(value)
                    yield member, {f"sensitivity/{k}_to_others": v for k, v in means.items()}


def conclude(
    members: Sequence[Member],
    folder: Path,
    title: str,
    record: Run,
    store: MlflowTracking | NoTracking,
    over: str | None = None,
) -> list[Sensitivity]:
    """Compare members, show it, leave table and bars in a folder, and record it all."""
    compared = compare_all(members, over)
    if compared:
        console.say("")
        show.show_similarities(compared)
        files = comparison.write(compared, folder, title=title)
        record.metrics(comparison.metrics(compared))
        record.files(files)
        for member, numbers in to_others(members, compared):
            if member.summary.run_id is not None:
                store.reopen(member.summary.run_id).metrics(numbers)
        console.say(f"Similarity:    {folder / comparison.PICTURE}")
    return compared


def own(member: Member, members: Sequence[Member]) -> Sensitivity:
    """Return what a member found by itself, named as it is told apart from the others."""
    (found,) = comparison.read(member.folder)
    return replace(found, title=_title(member, members, _varying(members)))


def _title(member: Member, members: Sequence[Member], apart: Sequence[str]) -> str:
    """Name a group by what runs, and by the keys that the title does not tell."""
    title = _short(member, members)
    alike = [other for other in members if _short(other, members) == title]
    told = [key for key in apart if len(_values(alike, key)) > 1 and key not in IN_TITLE]
    parts = [
        f"{key.rpartition('.')[2]} {member.config[key]}" for key in told if key in member.config
    ]
    return " · ".join([title, *dict.fromkeys(parts)])


def _short(member: Member, members: Sequence[Member]) -> str:
    """Leave a classifier out of the title that all members have."""
    names = [one.summary.title.split(" · ") for one in members]
    own = member.summary.title.split(" · ")
    same = len({name[-1] for name in names}) == 1 and len(own) > 1
    return " · ".join(own[:-1] if same else own)


def _varying(members: Sequence[Member]) -> list[str]:
    """Return the keys that set the members apart, be it by being there or not."""
    keys = dict.fromkeys(key for member in members for key in member.config)
    return [
        key
        for key in keys
        if not key.startswith(NOT_SPECIAL)
        and len({member.config.get(key) for member in members}) > 1
    ]


def _values(members: Sequence[Member], key: str) -> set[str]:
    return {member.config[key] for member in members if key in member.config}


def _by(key: str) -> Any:
    """Sort numbers by their size, before what is none."""

    def order(member: Member) -> tuple[bool, float, str]:
        text = member.config[key]
        try:
            return False, float(text), text
        except ValueError:
            return True, 0.0, text

    return order
