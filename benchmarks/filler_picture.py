"""Fillers side by side: the embedded photos, three kinds of hole, one column a filler.

    python -m benchmarks.filler_picture docs/images/fillers.jpg
    python -m benchmarks.filler_picture mine.jpg mirror "deepfill filler.context=96"

A 29 px square in the middle of the object, a 53 px square at its edge, half of about 60
superpixels. Squares are shown enlarged: the part that is framed yellow. What is drawn is the
composite that the classifier sees: outside the hole it is the photo.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.components import component, named_fillers, prepare
from benchmarks.filler_artifacts import squares
from benchmarks.fillers import OFFLINE
from genattr import seeds
from genattr.ops.superpixels import superpixels
from genattr.probe import Probe
from genattr.protocols import Filler
from genattr.types import Sample, SegmentHoles

SIZE = 224
CELL, GAP, HEAD, FOOT = 0.92, 0.05, 0.32, 0.3  # inches
DPI = 150
PINK = (0.95, 0.25, 0.6)  # a color that none of the photos has
AROUND = 28  # pixels shown around a square


@dataclass(frozen=True)
class Row:
    """A photo with a hole, and the part of it that is shown: x0, y0, x1, y1."""

    sample: Sample
    hole: Tensor
    shown: tuple[int, int, int, int]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("fillers", nargs="*", default=OFFLINE, help="an option and its keys")
    return parser.parse_args()


def rows_of(sample: Sample) -> list[Row]:
    x0, y0, x1, y1 = sample.boxes[0].tolist()
    middle = ((x0 + x1) / 2, (y0 + y1) / 2)
    edge = (x0 + 0.12 * (x1 - x0), y0 + 0.35 * (y1 - y0))
    return [square_row(sample, middle, 29), square_row(sample, edge, 53), superpixel_row(sample)]


def square_row(sample: Sample, center: tuple[float, float], side: int) -> Row:
    """Put a square where its window is inside the photo."""
    reach = side // 2 + AROUND
    x, y = (round(min(max(at, reach), SIZE - reach - 1)) for at in center)
    corner = torch.tensor([[x - side // 2, y - side // 2]])
    shown = (x - reach, y - reach, x + reach + 1, y + reach + 1)
    return Row(sample, squares(corner, side, SIZE).expand(slice(None)), shown)


def superpixel_row(sample: Sample) -> Row:
    segments = superpixels(sample.image, 60, 30.0, 3.0)
    generator = seeds.generator(0, sample.image_id, "picture")
    removed = torch.rand(1, int(segments.max()) + 1, generator=generator) < 0.5
    hole = SegmentHoles(removed, segments).expand(slice(None))
    return Row(sample, hole, (0, 0, SIZE, SIZE))


def pixels(image: Tensor) -> NDArray[np.uint8]:
    return (image * 255).round().byte().permute(1, 2, 0).numpy()


def draw_hole(axes: Axes, row: Row) -> None:
    """Draw the whole photo, its hole in pink, and a frame around what the other cells show."""
    pink = torch.tensor(PINK).view(3, 1, 1)
    axes.imshow(pixels(torch.where(row.hole[0], pink, row.sample.image)))
    x0, y0, x1, y1 = row.shown
    if (x0, y0, x1, y1) != (0, 0, SIZE, SIZE):
        frame = Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, lw=1, ec="#ffd000")
        frame.set_path_effects([withStroke(linewidth=2.2, foreground="black")])
        axes.add_patch(frame)


def draw_fill(axes: Axes, row: Row, filler: Filler) -> None:
    composite = Probe(row.sample, 0, None, filler).composite(row.hole)[0]
    x0, y0, x1, y1 = row.shown
    axes.imshow(pixels(composite)[y0:y1, x0:x1])


def draw(rows: Sequence[Row], fillers: dict[str, Filler], path: Path) -> None:
    across, down = 1 + len(fillers), len(rows)
    width = across * CELL + (across - 1) * GAP + 0.1
    height = down * CELL + (down - 1) * GAP + HEAD + FOOT
    figure = Figure(figsize=(width, height))
    cells = GridSpec(
        down, across, figure, left=0.05 / width, right=1 - 0.05 / width, top=1 - HEAD / height,
        bottom=FOOT / height, wspace=GAP / CELL, hspace=GAP / CELL,
    )  # fmt: skip
    for line, row in enumerate(rows):
        for column, (name, filler) in enumerate([("hole", None), *fillers.items()]):
            axes = figure.add_subplot(cells[line, column])
            if filler is None:
                draw_hole(axes, row)
            else:
                draw_fill(axes, row, filler)
            axes.set_axis_off()
            if line == 0:
                axes.set_title(name, fontsize=8, pad=3)
    figure.text(0.5, 0.07 / height, credits_of(rows), ha="center", fontsize=5.5, color="0.35")
    quality = {"quality": 82} if path.suffix in (".jpg", ".jpeg") else {}
    figure.savefig(path, dpi=DPI, facecolor="white", pil_kwargs=quality)


def credits_of(rows: Sequence[Row]) -> str:
    known = {photo["id"]: photo for photo in component("dataset", "dataset=samples").entries}
    names = dict.fromkeys(row.sample.image_id for row in rows)
    told = [f"{name}: {known[name]['credit']}, {known[name]['license']}" for name in names]
    half = -(-len(told) // 2)
    return "\n".join(" · ".join(part) for part in (told[:half], told[half:]))


def main() -> None:
    options = parse()
    prepare()
    dataset = component("dataset", "dataset=samples")
    rows = [row for index in range(len(dataset)) for row in rows_of(dataset.load(index, SIZE))]
    draw(rows, dict(named_fillers(options.fillers, with_random_weights=False)), options.path)
    print(options.path)


if __name__ == "__main__":
    main()
