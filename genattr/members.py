"""The finished members of a sweep, and the comparison of their heatmaps over one key.

Members are told apart by their configurations alone, so that a sweep's end, a folder of long ago
and what a tracking store kept are one and the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from genattr import archive, comparison, config, console, tracking
from genattr.analysis.sensitivity import Sensitivity, compare
from genattr.errors import UserError, require
from genattr.results import SUMMARY, Summary, load_summary
from genattr.types import Heatmap

FILES = ("config.yaml", "environment.json", SUMMARY, "per_image.parquet", "heatmaps.npz")
MERGED = "merged"  # folder of members that shards were merged into
NOT_SPECIAL = ("sensitivity.", "protocol.", "tracking.")  # keys that set no heatmaps apart
IN_TITLE = ("method._target_", "method.requires_inpainter", "filler._target_")


@dataclass(frozen=True)
class Member:
    """One finished member, by its folder."""

    folder: Path

    @cached_property
    def summary(self) -> Summary:
        """What it came to."""
        return load_summary(self.folder)

    @property
    def method(self) -> str:
        """Title of its method: "SP-G"."""
        return self.summary.title.split(" · ")[0]

    @property
    def filler(self) -> str:
        """Title of its filler."""
        return self.summary.title.split(" · ")[1]

    @cached_property
    def config(self) -> dict[str, str]:
        """Its resolved configuration, flat: ``method.patch_size`` to ``29``."""
        node = OmegaConf.load(self.folder / "config.yaml")
        return dict(_flat(OmegaConf.to_container(node), ""))

    @cached_property
    def size(self) -> int:
        """D of its classifier."""
        facts = json.loads((self.folder / "environment.json").read_text(encoding="utf-8"))
        require("input_size" in facts, f"{self.folder} is of an older version: run it again")
        return int(facts["input_size"])

    @cached_property
    def table(self) -> pd.DataFrame:
        """Its scores, a row a heatmap, those of held-out photos included."""
        return pd.read_parquet(self.folder / "per_image.parquet")

    @property
    def evaluated(self) -> pd.DataFrame:
        """The rows of the evaluated photos."""
        return self.table[self.table["split"] == "evaluation"]

    @cached_property
    def photos(self) -> list[tuple[str, int]]:
        """Names of its evaluated photos, with the explained class."""
        table = self.evaluated
        return list(zip(table["image_id"], map(int, table["target"]), strict=True))

    def heatmaps(self, wanted: set[tuple[str, int]]) -> Iterator[Heatmap]:
        """Yield the wanted heatmaps in its photos' order."""
        for heatmap in archive.read(self.folder / "heatmaps.npz"):
            if (heatmap.image_id, heatmap.target) in wanted:
                yield heatmap


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


def finished(folder: Path) -> list[Member]:
    """Return the finished members in a sweep's folder, in the order of the sweep.

    Shards that were merged are left out.
    """
    members = [Member(path.parent) for path in sorted(folder.rglob(SUMMARY))]
    if any(member.folder.parent == folder / MERGED for member in members):
        members = [one for one in members if one.config["selection.shard.count"] == "1"]
    return sorted(members, key=lambda member: member.summary.values.get("member", 0))


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
    record: tracking.Run,
    store: tracking.MlflowTracking | tracking.NoTracking,
    over: str | None = None,
) -> list[Sensitivity]:
    """Compare members, show it, leave table and bars in a folder, and record it all."""
    compared = compare_all(members, over)
    if compared:
        console.say("")
        console.show_similarities(compared)
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


def _flat(node: Any, prefix: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, str(node)
