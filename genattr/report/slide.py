"""A patch that slides over a photo, and what it does to the probability (the paper's Figure 7)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from torch import Tensor

from genattr.analysis.statistics import Array
from genattr.method.base import Method
from genattr.perturbation import Perturbation
from genattr.plot.bars import HUES
from genattr.plot.figures import DPI, LITERALLY, clear, draw_boxes, overlay, wrap
from genattr.plot.parts import Photo, Pixels
from genattr.protocols import Filler
from genattr.report import photos
from genattr.results import examples
from genattr.results.examples import photo_key, pixels
from genattr.results.finished import Member
from genattr.types import Heatmap, RectangleHoles

PICTURES = 5  # as in the paper
MOST_PHOTOS = 2
MOST_RUNS = 6
STYLES = ("-", "--", "-.", ":")
CELL = 1.75  # inches


@dataclass(frozen=True)
class Slide:
    """One row of a run's windows, from left to right.

    Attributes
    ----------
    title
        Of the run.
    windows
        (n, 4) x0, y0, x1, y1.
    probabilities
        (n,) of the explained class, without the window's content.
    untouched
        That of the whole photo.
    heatmap
        (D, D) the run's own map.
    images
        The photo without some windows, by their places in the row; empty if the run's filler or
        its photo is not available.
    """

    title: str
    windows: Tensor
    probabilities: Array
    untouched: float
    heatmap: Tensor
    images: dict[int, Pixels]

    @property
    def centers(self) -> Array:
        """(n,) the windows' centers, in pixels from the left edge."""
        return self.windows[:, ::2].double().mean(dim=1).numpy()

    @property
    def pictured(self) -> list[int]:
        """Places in the row of the windows that are shown, evenly spaced."""
        return _spaced(len(self.windows))


def groups(members: Sequence[Member]) -> Iterator[list[Member]]:
    """Yield the runs of SP with the same windows, one per method, filler and classifier."""
    by_windows: dict[tuple[int, str], dict[str, Member]] = {}
    for member in members:
        if _windows(member) is not None:
            alike = by_windows.setdefault((member.size, member.summary.settings), {})
            alike.setdefault(member.summary.title, member)
    for alike in by_windows.values():
        yield list(alike.values())[:MOST_RUNS]


def chosen(group: Sequence[Member]) -> list[Photo]:
    """Choose the photos with the highest scores, of those that all runs explain.

    Only photos that the first run kept are considered.
    """
    first = group[0]
    if not (first.folder / examples.FILE).is_file():
        return []
    table = first.evaluated
    keys = map(photo_key, table["image_id"], map(int, table["target"]))
    sure = dict(zip(keys, table["score"], strict=True))
    common = set.intersection(
        *({photo_key(*target) for target in member.photos} for member in group)
    )
    kept = [photo for photo in examples.load_photos(first.folder) if photo.image_id in common]
    return sorted(kept, key=lambda photo: -sure[photo.image_id])[:MOST_PHOTOS]


def slides(group: Sequence[Member], photo: Photo) -> list[Slide]:
    """Return one row of windows per run: the row where the mean of their maps is highest."""
    maps = [_heatmap(member, photo) for member in group]
    mean = torch.stack([heatmap.values for heatmap in maps]).mean(dim=0)
    row = int(mean.argmax()) // mean.shape[1]
    return [_slide(*pair, row) for pair in zip(group, maps, strict=True)]


def _heatmap(member: Member, photo: Photo) -> Heatmap:
    wanted = {target for target in member.photos if photo_key(*target) == photo.image_id}
    return next(member.heatmaps(wanted))


def _windows(member: Member) -> RectangleHoles | None:
    """Return the windows whose probabilities a run's cells tell.

    None if there are none such, or if the method had others when the run was made.
    """
    method = member.rebuilt("method", Method)
    if method is None or member.summary.explain != "probability":
        return None
    holes = method.cell_holes(member.size)
    return None if holes is None or len(holes) != member.cells else holes


def _slide(member: Member, heatmap: Heatmap, row: int) -> Slide:
    windows = _windows(member)
    assert windows is not None
    boxes = windows.boxes.view(*heatmap.values.shape, 4)[row]
    return Slide(
        title=member.summary.title,
        windows=boxes,
        probabilities=heatmap.score - heatmap.values[row].double().numpy(),
        untouched=heatmap.score,
        heatmap=heatmap.to_image(member.size),
        images=_removed(member, heatmap, boxes),
    )


def _removed(member: Member, heatmap: Heatmap, boxes: Tensor) -> dict[int, Pixels]:
    """Remove windows as the run did; empty if the filler is slow or the photo is missing."""
    sample = photos.load(member, heatmap.image_id)
    filler = member.rebuilt("filler", Filler)
    if sample is None or filler is None or not filler.is_light:
        return {}
    perturbation = Perturbation(sample, filler, seed=int(member.config["seed"]))
    places = _spaced(len(boxes))
    (images,) = perturbation.perturbed(RectangleHoles(boxes[places], member.size))
    return dict(zip(places, map(pixels, images), strict=True))


def _spaced(count: int) -> list[int]:
    return sorted(set(np.linspace(0, count - 1, PICTURES).round().astype(int).tolist()))


@mpl.rc_context(LITERALLY)
def draw(group: Sequence[Member], photo: Photo, path: Path, *, title: str) -> Path:
    """Draw the photo without windows of one row, and the probability over the window's place.

    Returns
    -------
    ``path``.
    """
    rows = slides(group, photo)
    lines = len(rows)
    width, height = (PICTURES + 1) * CELL + 0.6, lines * (CELL + 0.25) + 3.3
    figure = Figure(figsize=(width, height), layout="constrained")
    cells = GridSpec(lines + 1, PICTURES + 1, figure, height_ratios=[CELL] * lines + [2.4])
    for line, slide in enumerate(rows):
        for column, place in enumerate(slide.pictured):
            axes = figure.add_subplot(cells[line, column])
            _picture(axes, slide, photo, place)
            if column == 0:
                axes.set_ylabel(wrap(slide.title, 22), fontsize=8)
        _show(figure.add_subplot(cells[line, -1]), overlay(photo.image, slide.heatmap.numpy()),
              slide, "heatmap")  # fmt: skip
    _curves(figure.add_subplot(cells[lines, :-1]), rows, photo)
    axes = figure.add_subplot(cells[lines, -1])
    _show(axes, photo.image, rows[0], wrap(photo.title, 30))
    draw_boxes(axes, photo.boxes, "#ffd000")
    figure.suptitle(title, fontsize=10.5)
    figure.supxlabel(_note(rows, photo), fontsize=7.5, color="0.35")
    figure.savefig(path, dpi=DPI, facecolor="white")
    return path


def _picture(axes: Axes, slide: Slide, photo: Photo, place: int) -> None:
    axes.imshow(slide.images.get(place, photo.image))
    if place not in slide.images:
        _outline(axes, slide.windows[place], "#e69f00")
    clear(axes)
    label = f"{slide.centers[place]:g} px · p = {slide.probabilities[place]:.2f}"
    axes.set_xlabel(label, fontsize=7.5, labelpad=3)


def _show(axes: Axes, image: Pixels, slide: Slide, label: str) -> None:
    """Show an image with the row that the windows take."""
    axes.imshow(image)
    row = slide.windows[0].clone()
    row[2] = slide.windows[-1, 2]
    _outline(axes, row, "white")
    clear(axes)
    axes.set_xlabel(label, fontsize=7.5, labelpad=3)


def _outline(axes: Axes, box: Tensor, color: str) -> None:
    x0, y0, x1, y1 = box.tolist()
    drawn = Rectangle(
        (x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, linewidth=1.1, linestyle="--",
        edgecolor=color, path_effects=[withStroke(linewidth=2.2, foreground="black")],
    )  # fmt: skip
    axes.add_patch(drawn)


def _curves(axes: Axes, rows: Sequence[Slide], photo: Photo) -> None:
    for index, slide in enumerate(rows):
        style = STYLES[index % len(STYLES)]
        axes.plot(slide.centers, slide.probabilities, style, color=HUES[index], label=slide.title)
        at = slide.pictured
        axes.plot(slide.centers[at], slide.probabilities[at], "o", color=HUES[index], markersize=5)
    for index, untouched in enumerate(dict.fromkeys(slide.untouched for slide in rows)):
        label = None if index else "the untouched photo"
        axes.axhline(untouched, color="black", linewidth=0.7, label=label)
    for index, (x0, _, x1, _) in enumerate(photo.boxes if photo.boxes is not None else ()):
        label = None if index else "columns of the labeled box"
        axes.axvspan(x0, x1, color="0.92", zorder=0, label=label)
    axes.set(xlim=(0, len(photo.image)), ylim=(0, None))
    axes.set_xlabel("center of the patch, pixels from the left edge; dots: the pictures above",
                    fontsize=8.5)  # fmt: skip
    axes.set_ylabel("probability of the class", fontsize=8.5)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=7.5)


def _note(rows: Sequence[Slide], photo: Photo) -> str:
    notes = ["outlined on photo and heatmaps: the row of the patch"]
    if photo.boxes is not None:
        notes.append("yellow: labeled boxes")
    if not all(slide.images for slide in rows):
        notes.append("a patch that is outlined alone: its content is not kept")
    return "; ".join(notes)
