"""Pictures: heatmaps over photos, side by side, and curves over the threshold."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from genattr.plot.parts import Colors, Column, Photo, Pixels

# White at zero and distinguishable by color-blind people; the single color also prints in gray.
MAPS: dict[Colors, str] = {"diverging": "RdBu_r", "single": "Reds"}
CELL = 1.5  # inches
CAPTION_LINE = 0.11
DPI = 120
MOST_BOXES = 500  # that are drawn on a photo
GRID_DPI = 160  # of heatmaps: small inches make their texts large beside them
SMALL_LINE = 8.5  # points
LINE = 11.0
SHEET_COLUMNS = 4  # photos beside each other if there is one run
LITERALLY: dict[Any, Any] = {"text.parse_math": False}  # two $ in a name are no formula


class Picture(Figure):
    """A figure that notebooks show also where nobody has imported pyplot."""

    def _repr_png_(self) -> bytes:
        file = BytesIO()
        self.savefig(file, format="png", dpi="figure", facecolor="white")
        return file.getvalue()


def overlay(image: Pixels, heatmap: NDArray[np.float32], colors: Colors = "diverging") -> Pixels:
    """Color a grayed photo by a heatmap: red for evidence, blue against, nothing at zero.

    Parameters
    ----------
    image
        (D, D, 3) uint8.
    heatmap
        (D, D), any scale: it is divided by its own largest |value|.
    colors
        ``diverging``, or ``single``: evidence for the class alone, in one color, for print.

    Returns
    -------
    (D, D, 3) uint8.
    """
    values = np.nan_to_num(heatmap.astype(np.float64), posinf=0, neginf=0)
    if colors == "single":
        values = values.clip(min=0)
    strength = values / max(np.abs(values).max(), 1e-30)
    gray = image.astype(np.float64) @ [0.299, 0.587, 0.114] / 255
    base = np.repeat(0.25 + 0.7 * gray[:, :, None], 3, axis=2)
    color = mpl.colormaps[MAPS[colors]](_position(strength, colors))[:, :, :3]
    opacity = np.abs(strength)[:, :, None] ** 0.7 * 0.9
    blended = base * (1 - opacity) + color * opacity
    pixels: Pixels = (blended * 255).round().astype(np.uint8)
    return pixels


def _position(strength: NDArray[np.float64], colors: Colors) -> NDArray[np.float64]:
    """Place a strength in [-1, 1], or [0, 1] of the single color, among the colors' 0 to 1."""
    return strength if colors == "single" else (strength + 1) / 2


@mpl.rc_context(LITERALLY)
def heatmap_grid(
    photos: Sequence[Photo],
    columns: Sequence[Column],
    path: Path,
    *,
    title: str = "",
    note: str = "",
) -> Path:
    """Draw photos with their boxes, and each run's heatmaps beside them.

    One run and several photos make a contact sheet with several photos per line.

    Returns
    -------
    ``path``, a PNG.
    """
    blocks = min(SHEET_COLUMNS, len(photos)) if len(columns) == 1 else 1
    lines = math.ceil(len(photos) / blocks)
    across = blocks * (1 + len(columns))
    heads = max(map(_head_height, columns)) if len(columns) > 1 else 0
    maps = next((column.colors for column in columns if column.heatmaps), None)
    below = _caption_lines(photos, columns)
    figure, cells = canvas(lines, across, title, note, heads, maps, below)
    for index, photo in enumerate(photos):
        line, block = divmod(index, blocks)
        first = block * (1 + len(columns))
        _draw_photo(figure.add_subplot(cells[line, first]), photo)
        for offset, column in enumerate(columns, start=1):
            axes = figure.add_subplot(cells[line, first + offset])
            _draw_heatmap(axes, photo, column)
            if line == 0 and len(columns) > 1:
                _head(axes, column)
    figure.savefig(path, dpi=GRID_DPI, facecolor="white")
    return path


@mpl.rc_context(LITERALLY)
def alpha_curves(
    curves: Mapping[str, NDArray[np.float64]],
    alphas: Sequence[float],
    path: Path,
    *,
    chosen: Mapping[str, float],
    ylabel: str,
    title: str = "",
) -> Path:
    """Draw a score over the threshold alpha, one line per run, the chosen alpha marked."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for name, curve in curves.items():
        (line,) = axes.plot(alphas, curve, label=name, linewidth=1.8)
        if name in chosen:
            at = list(alphas).index(chosen[name])
            label = f"α = {chosen[name]:g}"
            axes.plot(chosen[name], curve[at], "o", color=line.get_color(), label=label)
    axes.set(xlabel="threshold α (share of the map's maximum)", ylabel=ylabel, title=title)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=DPI, facecolor="white")
    return path


def _caption_lines(photos: Sequence[Photo], columns: Sequence[Column]) -> int:
    """Count the lines of the longest text below a cell."""
    captions = [text for column in columns for text in column.captions.values()]
    texts = [*captions, *(photo.title for photo in photos)]
    return max(wrap(text).count("\n") + 1 for text in texts)


def canvas(
    lines: int,
    across: int,
    title: str,
    note: str,
    heads: float,
    maps: Colors | None,
    below: int = 0,
) -> tuple[Picture, GridSpec]:
    """Lay out the page in inches: title, heads of the columns, cells, color bar, note.

    Parameters
    ----------
    below
        Lines of text below each row of cells.
    """
    gap = 0.12 + CAPTION_LINE * below
    width = max(across * CELL + 0.4, 4.6)
    wrapped = textwrap.wrap(note, int(width * 15))
    title = "\n".join(wrap(line, int(width * 11)) for line in title.split("\n"))
    head = 0.25 + 0.2 * (title.count("\n") + bool(title)) + heads
    foot = gap + (0.46 if maps else 0.05) + 0.17 * len(wrapped)
    height = head + lines * CELL + (lines - 1) * gap + foot
    figure = Picture(figsize=(width, height), dpi=GRID_DPI)
    cells = GridSpec(
        lines, across, figure,
        left=0.2 / width, right=1 - 0.2 / width, top=1 - head / height, bottom=foot / height,
        wspace=0.06, hspace=gap / CELL,
    )  # fmt: skip
    figure.suptitle(title, fontsize=11, y=1 - 0.12 / height, va="top")
    if maps:
        _color_bar(figure, width, height, foot - gap - 0.16, maps)
    for index, line in enumerate(wrapped):
        y = (foot - gap - 0.54 - 0.17 * index) / height
        figure.text(0.5, y, line, ha="center", fontsize=7.5, color="0.35")
    return figure, cells


def _color_bar(figure: Figure, width: float, height: float, bottom: float, colors: Colors) -> None:
    axes = figure.add_axes((0.5 - 1 / width, bottom / height, 2 / width, 0.09 / height))
    low, text_of_low = (-1, "evidence against") if colors == "diverging" else (0, "none")
    scale = ScalarMappable(Normalize(low, 1), mpl.colormaps[MAPS[colors]])
    figure.colorbar(scale, cax=axes, orientation="horizontal", ticks=[])
    axes.set_xlabel("each map divided by its own largest |value|", fontsize=7, labelpad=2)
    for x, side, text in ((low - 0.05, "right", text_of_low), (1.05, "left", "evidence for")):
        axes.text(x, 0.5, text, ha=side, va="center", fontsize=8)


def _draw_photo(axes: Axes, photo: Photo) -> None:
    axes.imshow(photo.image)
    draw_boxes(axes, photo.boxes, "#ffd000")
    clear(axes)
    axes.set_xlabel(wrap(photo.title), fontsize=7, labelpad=3)


def draw_boxes(axes: Axes, boxes: NDArray[np.float32] | None, color: str) -> None:
    """Draw (k, 4) half-open boxes on an image; of more than can be told apart, the first."""
    for x0, y0, x1, y1 in boxes[:MOST_BOXES] if boxes is not None else ():
        box = Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, lw=1.3, ec=color)
        box.set_path_effects([withStroke(linewidth=3, foreground="black")])
        axes.add_patch(box)


def _draw_heatmap(axes: Axes, photo: Photo, column: Column) -> None:
    heatmap = column.heatmaps.get(photo.image_id)
    if photo.image_id in column.images:
        axes.imshow(column.images[photo.image_id])
    elif heatmap is None:
        axes.text(0.5, 0.5, "no heatmap", ha="center", va="center", transform=axes.transAxes)
    else:
        axes.imshow(overlay(photo.image, heatmap, column.colors))
        draw_boxes(axes, column.boxes.get(photo.image_id), "#00e5ff")
    clear(axes)
    axes.set_xlabel(wrap(column.captions.get(photo.image_id, "")), fontsize=6.5, labelpad=3)


def _head(axes: Axes, column: Column) -> None:
    """Write the run's title over its parameters."""
    title, subtitle = _head_texts(column)
    above = 5 + SMALL_LINE * (subtitle.count("\n") + 1)
    for text, offset, size, color in (
        (subtitle, 4, 6.5, "0.35"),
        (title, above, 9, "black"),
    ):
        axes.annotate(
            text, (0.5, 1), xytext=(0, offset), ha="center", va="bottom", fontsize=size,
            color=color, xycoords="axes fraction", textcoords="offset points",
        )  # fmt: skip


def _head_height(column: Column) -> float:
    """Return the inches that a column's head takes."""
    title, subtitle = _head_texts(column)
    return (SMALL_LINE * (subtitle.count("\n") + 3) + LINE * title.count("\n")) / 72


def _head_texts(column: Column) -> tuple[str, str]:
    return wrap(column.title, 20), wrap(column.subtitle)


def wrap(text: str, width: int = 28) -> str:
    """Wrap a text of items separated by dots; an item is broken only if it is too long."""
    lines: list[str] = []
    for item in chain.from_iterable(
        textwrap.wrap(item_text, width) for item_text in text.split(" · ")
    ):
        longer = f"{lines[-1]} · {item}" if lines else item
        if lines and len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(item)
    return "\n".join(lines)


def clear(axes: Axes) -> None:
    """Leave an image's axes without ticks and frame."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
