"""The photos on which a G method wins and loses most (the paper's Figures S4 and S5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genattr.metric.base import FinerScore, Metric
from genattr.plot.figures import heatmap_grid
from genattr.plot.parts import Column, Photo
from genattr.report import photos
from genattr.results import summary
from genattr.results.examples import photo_key, pixels
from genattr.results.finished import Member

MOST = 10
Target = tuple[str, int]


@dataclass(frozen=True)
class Contrast:
    """A G method beside its plain counterpart, by one score.

    Attributes
    ----------
    generative, plain
        The two runs.
    score
        Such as ``deletion/auc``.
    """

    generative: Member
    plain: Member
    score: str

    @property
    def name(self) -> str:
        """The two methods and the measure, for people."""
        return f"{self.generative.method} against {self.plain.method} by {self.measure}"

    @property
    def metric(self) -> str:
        """Name of the score's metric."""
        return self.score.partition("/")[0]

    @cached_property
    def finer(self) -> FinerScore | None:
        """A number that ranks photos more finely than the score, if the metric has one."""
        metric = self.generative.rebuilt(f"metric.{self.metric}", Metric)
        return None if metric is None else metric.finer_score

    @property
    def measure(self) -> str:
        """Name of the number that ranks the photos, for people."""
        return summary.label(self.score) if self.finer is None else self.finer.name

    def gains(self) -> dict[Target, float]:
        """Return by how much the G method is better, photo by photo, the largest gain first."""
        first, second = self.values(self.generative), self.values(self.plain)
        sign = 1 if self._higher_is_better else -1
        gaps = {
            target: sign * (first[target] - second[target]) for target in first if target in second
        }
        defined = {target: gap for target, gap in gaps.items() if gap == gap}
        return dict(sorted(defined.items(), key=lambda pair: -pair[1]))

    def values(self, member: Member) -> dict[Target, float]:
        """Return the number that ranks the photos, by photo and class, at the run's threshold."""
        table = member.evaluated
        column = table[self.score]
        if self.finer is not None:
            index = self._threshold_index(member)
            lists = table[f"{self.metric}/{self.finer.column}"]
            column = lists.map(lambda entries: float("nan") if entries is None else entries[index])
        targets = zip(table["image_id"], map(int, table["target"]), strict=True)
        return dict(zip(targets, map(float, column), strict=True))

    def _threshold_index(self, member: Member) -> int:
        metric = member.rebuilt(f"metric.{self.metric}", Metric)
        assert metric is not None
        return list(metric.thresholds).index(member.summary.values[f"{self.metric}/alpha"])

    @property
    def arrow(self) -> str:
        """Points to better."""
        return summary.ARROWS["higher" if self._higher_is_better else "lower"]

    @property
    def _higher_is_better(self) -> bool:
        if self.finer is not None:
            return self.finer.direction == "higher"
        return self.generative.summary.directions[self.score] == "higher"


def contrasts(members: Sequence[Member]) -> Iterator[Contrast]:
    """Yield each G method with its plain counterpart of the same settings, by every score."""
    plain_ones = [member for member in members if not member.summary.is_generative]
    for generative in (member for member in members if member.summary.is_generative):
        for plain in plain_ones:
            alike = generative.summary.beside_title == plain.summary.beside_title
            if alike and generative.summary.family == plain.summary.family:
                for score in generative.summary.scores:
                    if score in plain.summary.scores:
                        yield Contrast(generative, plain, score)


def draw(contrast: Contrast, chosen: Sequence[Target], path: Path, *, title: str) -> Path | None:
    """Draw photos with the labeled boxes, and both heatmaps with the boxes of their thresholds.

    Returns
    -------
    ``path``, or None where none of the photos can be opened any more.
    """
    shown = list(_photos(contrast.generative, chosen))
    if not shown:
        return None
    columns = [
        _column(contrast, member, set(chosen)) for member in (contrast.plain, contrast.generative)
    ]
    note = "yellow: labeled boxes"
    if any(column.boxes for column in columns):
        note += "; cyan: the map's own box at its run's threshold"
    return heatmap_grid(shown, columns, path, title=title, note=note)


def _photos(member: Member, chosen: Sequence[Target]) -> Iterator[Photo]:
    for image_id, target in chosen:
        sample = photos.load(member, image_id)
        if sample is not None:
            boxes = None if sample.boxes is None else sample.boxes.numpy()
            yield Photo(photo_key(image_id, target), pixels(sample.image), boxes, image_id)


def _column(contrast: Contrast, member: Member, chosen: set[Target]) -> Column:
    """Show a run's maps, with the boxes that its metric draws at its threshold."""
    maps: dict[str, NDArray[np.float32]] = {}
    boxes: dict[str, NDArray[np.float32]] = {}
    alpha = member.summary.values.get(f"{contrast.metric}/alpha")
    metric = member.rebuilt(f"metric.{contrast.metric}", Metric)
    for heatmap in member.heatmaps(chosen):
        key = photo_key(heatmap.image_id, heatmap.target)
        maps[key] = heatmap.to_image(member.size).numpy()
        if alpha is not None and metric is not None:
            box = metric.box(heatmap, member.size, alpha)
            if box is not None:
                boxes[key] = box.astype(np.float32)[None]
    captions = _captions(contrast.values(member), f"{contrast.measure} {contrast.arrow}")
    return Column(member.summary.title, "", maps, captions, boxes=boxes)


def _captions(scores: Mapping[Target, float], name: str) -> dict[str, str]:
    return {photo_key(*target): f"{name} {value:.2f}" for target, value in scores.items()}
