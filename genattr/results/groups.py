"""Finished runs that differ in one key alone, and the comparison of their heatmaps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from genattr import console
from genattr.analysis.sensitivity import Sensitivity, compare
from genattr.config import varied_key
from genattr.errors import UserError, require
from genattr.results import comparison, show
from genattr.results.finished import Member
from genattr.results.summary import short_titles
from genattr.tracking.base import Run, Tracking
from genattr.tracking.journal import reopened

NOT_SPECIAL = ("sensitivity.", "protocol.", "tracking.", "devices")  # set no heatmaps apart
IN_TITLE = ("method._target_", "method.requires_inpainter", "filler._target_")


@dataclass(frozen=True)
class Group:
    """Members that differ in one key alone.

    Attributes
    ----------
    title
        What they have in common, and what sets them apart from other groups.
    family
        The same without the filler and without the G that distinguishes generative methods.
    over
        The key that varies.
    members
        By its value.
    """

    title: str
    family: str
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
            return compare(self.title, self.over, maps, size, self.family)
        except ValueError as error:
            raise UserError(f"{self.title}: {error}") from error


def infer_over(members: Sequence[Member]) -> str | None:
    """Return the key to compare over: the chosen one, or the only known one that varies."""
    first = members[0].summary
    if first.over is not None:
        return first.over if len(_values(members, varied_key(first.over))) > 1 else None
    varying = [over for over in first.comparable if len(_values(members, varied_key(over))) > 1]
    return varying[0] if len(varying) == 1 else None


def groups(members: Sequence[Member], over: str) -> list[Group]:
    """Group members that differ in one key alone; a group of one is left out."""
    key = varied_key(over)
    apart = [name for name in _varying(members) if not _follows(members, name, key)]
    alike: dict[tuple[str | None, ...], list[Member]] = {}
    for member in members:
        if key in member.config:
            alike.setdefault(tuple(map(member.config.get, apart)), []).append(member)
    made = []
    for group in alike.values():
        by_value = {member.config[key]: member for member in sorted(group, key=_by(key))}
        if len(by_value) > 1:
            title, family = _names(group[0], members, apart)
            made.append(Group(title, family, over, by_value))
    return made


def compare_all(members: Sequence[Member], over: str | None = None) -> list[Sensitivity]:
    """Compare the members over a key, each group by itself.

    If no key varies, return the comparisons that members made themselves (``sensitivity=`` in
    each).
    """
    over = over or (infer_over(members) if members else None)
    if over is None:
        return [of_member(member, members) for member in members if comparison.read(member.folder)]
    return [group.compare() for group in groups(members, over)]


def to_others(
    members: Sequence[Member], compared: Sequence[Sensitivity]
) -> Iterator[tuple[Member, dict[str, float]]]:
    """Yield each compared member with its mean similarity to the others of its group."""
    for sensitivity in compared:
        for group in groups(members, sensitivity.over):
            if group.title == sensitivity.title:
                for value, member in group.members.items():
                    means = sensitivity.to_others(value)
                    yield member, {f"sensitivity/{k}_to_others": v for k, v in means.items()}


def conclude(
    members: Sequence[Member],
    folder: Path,
    title: str,
    record: Run,
    store: Tracking,
    over: str | None = None,
) -> list[Sensitivity]:
    """Compare members, print the result, write table and bars to a folder, and record all."""
    compared = compare_all(members, over)
    if compared:
        console.say("")
        show.show_similarities(compared)
        files = comparison.write(compared, folder, title=title)
        record.metrics(comparison.metrics(compared))
        record.files(files)
        for member, numbers in to_others(members, compared):
            reopened(store, member.summary.run_id, member.folder).metrics(numbers)
        console.say(f"Similarity:    {folder / comparison.PICTURE}")
    return compared


def of_member(member: Member, members: Sequence[Member]) -> Sensitivity:
    """Return the comparison that a member made itself, under a title that sets it apart."""
    (compared,) = comparison.read(member.folder)
    title, family = _names(member, members, _varying(members))
    return replace(compared, title=title, family=family)


def _names(member: Member, members: Sequence[Member], apart: Sequence[str]) -> tuple[str, str]:
    """Return a group's title, completed by the varying keys that it lacks, and its family."""
    titles = short_titles([each.summary for each in members])
    title = titles[members.index(member)]
    alike = [other for other, name in zip(members, titles, strict=True) if name == title]
    untitled = [key for key in apart if len(_values(alike, key)) > 1 and key not in IN_TITLE]
    parts = [_in_words(member, key) for key in untitled if key in member.config]
    apart_from_others = list(dict.fromkeys(parts))
    family = " · ".join([member.summary.family, *apart_from_others])
    return " · ".join([title, *apart_from_others]), family


def _in_words(member: Member, key: str) -> str:
    """Return a key's last name and its value; a component inside another by its option."""
    place, _, last = key.rpartition(".")
    if last == "_target_" and place in member.summary.parts:
        return f"{place.rpartition('.')[2]} {member.summary.parts[place].option}"
    return f"{last} {member.config[key]}"


def _varying(members: Sequence[Member]) -> list[str]:
    """Return the keys whose values differ between the members, or that only some have."""
    keys = dict.fromkeys(key for member in members for key in member.config)
    return [
        key
        for key in keys
        if not key.startswith(NOT_SPECIAL)
        and len({member.config.get(key) for member in members}) > 1
    ]


def _follows(members: Sequence[Member], name: str, key: str) -> bool:
    """Whether a key is another one, or of its last name and with its value in every member."""
    alike = (member.config.get(name) in (None, member.config.get(key)) for member in members)
    return name.rpartition(".")[2] == key.rpartition(".")[2] and all(alike)


def _values(members: Sequence[Member], key: str) -> set[str]:
    return {member.config[key] for member in members if key in member.config}


def _by(key: str) -> Any:
    """Return a sort key for the values of ``key``: numbers by size, then texts."""

    def order(member: Member) -> tuple[bool, float, str]:
        text = member.config[key]
        try:
            return False, float(text), text
        except ValueError:
            return True, 0.0, text

    return order
