"""Heatmaps of one photo under several values of a setting (the paper's Figures 9 and S8)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genattr.analysis.sensitivity import Sensitivity
from genattr.plot.figures import heatmap_grid
from genattr.plot.parts import Column, Photo
from genattr.results import examples, groups
from genattr.results.examples import photo_key
from genattr.results.finished import Member
from genattr.results.groups import Group

MOST_PHOTOS = 2
Similarities = Mapping[tuple[str, str], float]


@dataclass(frozen=True)
class Line:
    """A run's heatmaps under all values.

    Attributes
    ----------
    title
        Of the run.
    over
        The key that varies.
    photos
        Those that were kept and that all values explain, by ``image_id``.
    maps
        (D, D) by value, and by the photo's ``image_id``.
    """

    title: str
    over: str
    photos: Mapping[str, Photo]
    maps: Mapping[str, Mapping[str, NDArray[np.float32]]]


@dataclass(frozen=True)
class Grid:
    """One photo's heatmaps: one line per method, one column per value.

    Attributes
    ----------
    image_id
        Of the photo.
    lines
        All over one key.
    """

    image_id: str
    lines: Sequence[Line]

    @property
    def title(self) -> str:
        """The photo and the key, for people."""
        return f"Heatmaps of {self.image_id} over {self.lines[0].over}"


def grids(members: Sequence[Member]) -> Iterator[Grid]:
    """Yield the first photos that all lines over one key explain."""
    by_key: dict[str, list[Line]] = {}
    for line in _lines(members):
        by_key.setdefault(line.over, []).append(line)
    for lines in by_key.values():
        common = set.intersection(*(set(line.photos) for line in lines))
        for image_id in [photo for photo in lines[0].photos if photo in common][:MOST_PHOTOS]:
            yield Grid(image_id, lines)


def similarities(compared: Sequence[Sensitivity]) -> Similarities:
    """Return the mean SSIM of a photo's maps, by the line's title and the photo's name."""
    return {
        (group.title, photo_key(row["image_id"], row["target"])): row["ssim"]
        for group in compared
        for row in group.rows()
    }


def draw(grid: Grid, similar: Similarities, path: Path) -> Path:
    """Draw the grid; each line's title has the mean SSIM of its maps, if that was computed.

    Returns
    -------
    ``path``.
    """
    rows = [_row(line, grid.image_id, similar) for line in grid.lines]
    values = dict.fromkeys(value for line in grid.lines for value in line.maps)
    columns = [_column(grid, value) for value in values]
    note = "SSIM: mean over all pairs of a line's maps; yellow: labeled boxes"
    return heatmap_grid(rows, columns, path, title=grid.title, note=note)


def _row(line: Line, image_id: str, similar: Similarities) -> Photo:
    ssim = similar.get((line.title, image_id))
    similarity = "" if ssim is None or ssim != ssim else f" · SSIM {ssim:.2f}"
    return replace(line.photos[image_id], image_id=line.title, title=line.title + similarity)


def _column(grid: Grid, value: str) -> Column:
    maps = {
        line.title: line.maps[value][grid.image_id] for line in grid.lines if value in line.maps
    }
    return Column(f"{grid.lines[0].over} {value}", "", maps, {})


def _lines(members: Sequence[Member]) -> Iterator[Line]:
    """Yield a line per group of members that differ in one key, or per member that varied it."""
    over = groups.infer_over(members)
    if over is not None:
        yield from map(_of_group, groups.groups(members, over))
        return
    for member in members:
        maps = examples.load_varied(member.folder)
        if maps:
            compared = groups.of_member(member, members)
            keys = set.intersection(*map(set, maps.values()))
            yield Line(compared.title, compared.over, _kept(member, keys), maps)


def _of_group(group: Group) -> Line:
    first, *others = group.members.values()
    keys = ({photo_key(*target) for target in member.photos} for member in (first, *others))
    kept = dict(list(_kept(first, set.intersection(*keys)).items())[: examples.MOST_VARIED])
    maps = {value: _maps(member, kept) for value, member in group.members.items()}
    return Line(group.title, group.over, kept, maps)


def _kept(member: Member, keys: set[str]) -> dict[str, Photo]:
    if not (member.folder / examples.FILE).is_file():
        return {}
    photos = examples.load_photos(member.folder)
    return {photo.image_id: photo for photo in photos if photo.image_id in keys}


def _maps(member: Member, photos: Mapping[str, Photo]) -> dict[str, NDArray[np.float32]]:
    wanted = {target for target in member.photos if photo_key(*target) in photos}
    return {
        photo_key(heatmap.image_id, heatmap.target): heatmap.to_image(member.size).numpy()
        for heatmap in member.heatmaps(wanted)
    }
