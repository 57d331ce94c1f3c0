"""The photos on which a G method wins and loses most (the paper's Figures S4 and S5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genattr.metric.thresholds import ALPHAS, boxes_at_alphas
from genattr.plot.figures import Column, Photo, heatmap_grid
from genattr.report import photos
from genattr.results import summary
from genattr.results.examples import photo_key, pixels
from genattr.results.finished import Member

MOST = 10
IOU = "IoU"
Target = tuple[str, int]


@dataclass(frozen=True)
class Duel:
    """A G method against its plain counterpart by one score.

    Attributes
    ----------
    ours, plain
        The two runs.
    score
        Such as ``deletion/auc``; localization is told by the IoU of its box.
    """

    ours: Member
    plain: Member
    score: str

    @property
    def name(self) -> str:
        """What is compared by what, for people."""
        measure = IOU if self.score == "localization/error" else summary.label(self.score)
        return f"{self.ours.method} against {self.plain.method} by {measure}"

    def gains(self) -> dict[Target, float]:
        """Return by how much ours is better, photo by photo, the largest gain first."""
        ours, plain = values(self.ours, self.score), values(self.plain, self.score)
        sign = 1 if self._higher_is_better else -1
        gaps = {one: sign * (ours[one] - plain[one]) for one in ours if one in plain}
        defined = {one: gap for one, gap in gaps.items() if gap == gap}
        return dict(sorted(defined.items(), key=lambda pair: -pair[1]))

    @property
    def _higher_is_better(self) -> bool:
        is_iou = self.score == "localization/error"
        return is_iou or self.ours.summary.directions[self.score] == "higher"


def duels(members: Sequence[Member]) -> Iterator[Duel]:
    """Yield each G method with its plain counterpart of the same settings, by every score."""
    for ours in members:
        for plain in members:
            alike = ours.summary.subtitle == plain.summary.subtitle
            if alike and ours.method == f"{plain.method}-G":
                for score in ours.summary.scores:
                    if score in plain.summary.scores:
                        yield Duel(ours, plain, score)


def values(member: Member, score: str) -> dict[Target, float]:
    """Return a score by photo and class; for localization the IoU at the run's threshold."""
    table = member.evaluated
    column = table[score]
    if score == "localization/error":
        index = ALPHAS.index(member.summary.values["localization/alpha"])
        lists = table["localization/iou"]
        column = lists.map(lambda one: float("nan") if one is None else one[index])
    targets = zip(table["image_id"], map(int, table["target"]), strict=True)
    return dict(zip(targets, map(float, column), strict=True))


def draw(duel: Duel, chosen: Sequence[Target], path: Path, *, title: str) -> Path | None:
    """Draw photos with the labeled boxes, and both heatmaps with the boxes of their thresholds.

    Returns
    -------
    ``path``, or None where none of the photos can be opened any more.
    """
    shown = list(_photos(duel.ours, chosen))
    if not shown:
        return None
    columns = [_column(member, duel.score, set(chosen)) for member in (duel.plain, duel.ours)]
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


def _column(member: Member, score: str, chosen: set[Target]) -> Column:
    maps: dict[str, NDArray[np.float32]] = {}
    boxes: dict[str, NDArray[np.float32]] = {}
    alpha = member.summary.values.get(f"{score.partition('/')[0]}/alpha")
    for heatmap in member.heatmaps(chosen):
        key, image = photo_key(heatmap.image_id, heatmap.target), heatmap.to_image(member.size)
        maps[key] = image.numpy()
        if alpha is not None:
            component = member.config[f"metric.{score.partition('/')[0]}.component"]
            boxes[key] = boxes_at_alphas(image, component)[[ALPHAS.index(alpha)]].float().numpy()
    told = IOU if score == "localization/error" else summary.label(score)
    captions = _captions(values(member, score), told)
    return Column(member.summary.title, "", maps, captions, boxes=boxes)


def _captions(scores: Mapping[Target, float], name: str) -> dict[str, str]:
    return {photo_key(*target): f"{name} {value:.2f}" for target, value in scores.items()}
