"""The finished members of a sweep, and the comparison of their heatmaps over one key.

Members are distinguished by their configurations alone, so that a sweep that just ended, an old
folder and files from a tracking store are treated alike.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from genattr import components
from genattr.errors import UserError, require
from genattr.protocols import Component
from genattr.results.summary import SUMMARY, Row, Summary, load_summary
from genattr.store import archive
from genattr.types import Heatmap

T = TypeVar("T", bound=Component)
FILES = ("config.yaml", "environment.json", SUMMARY, "per_image.parquet", "heatmaps.npz")
MERGED = "merged"  # folder of members that shards were merged into


@dataclass(frozen=True)
class Member:
    """One finished member, by its folder."""

    folder: Path

    @cached_property
    def summary(self) -> Summary:
        """Its results."""
        return load_summary(self.folder)

    @property
    def method(self) -> str:
        """Title of its method: "SP-G"."""
        return self.summary.method

    @property
    def filler(self) -> str:
        """Title of its filler."""
        return self.summary.filler

    @cached_property
    def config(self) -> dict[str, str]:
        """Its resolved configuration, flat: ``method.patch_size`` to ``29``."""
        return dict(_flat(OmegaConf.to_container(self._nodes), ""))

    @cached_property
    def _nodes(self) -> DictConfig:
        nodes = OmegaConf.load(self.folder / "config.yaml")
        assert isinstance(nodes, DictConfig)
        return nodes

    def rebuilt(self, key: str, base: type[T]) -> T | None:
        """Build one of its components again; None if that is not possible (any more, or here)."""
        node = OmegaConf.select(self._nodes, key)
        if not isinstance(node, DictConfig):
            return None
        try:
            return components.build(node, key, base)
        except UserError:
            return None

    @cached_property
    def size(self) -> int:
        """D of its classifier."""
        facts = json.loads((self.folder / "environment.json").read_text(encoding="utf-8"))
        require("input_size" in facts, f"{self.folder} is of an older version: run it again")
        return int(facts["input_size"])

    @cached_property
    def table(self) -> pd.DataFrame:
        """Its scores, one row per heatmap, those of held-out photos included."""
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

    @property
    def cells(self) -> int:
        """How many cells its heatmaps have."""
        return next(archive.read(self.folder / "heatmaps.npz")).values.numel()

    def heatmaps(self, wanted: set[tuple[str, int]]) -> Iterator[Heatmap]:
        """Yield the wanted heatmaps in its photos' order."""
        for heatmap in archive.read(self.folder / "heatmaps.npz"):
            if (heatmap.image_id, heatmap.target) in wanted:
                yield heatmap


def finished(folder: Path) -> list[Member]:
    """Return the finished members in a sweep's folder, in the order of the sweep.

    Shards that were merged are left out.
    """
    members = [Member(path.parent) for path in sorted(folder.rglob(SUMMARY))]
    if any(member.folder.parent == folder / MERGED for member in members):
        members = [member for member in members if member.config["selection.shard.count"] == "1"]
    return sorted(members, key=lambda member: member.summary.values.get("member", 0))


def records(table: pd.DataFrame) -> list[Row]:
    """Return the rows of a member's table."""
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def _flat(node: Any, prefix: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, str(node)
