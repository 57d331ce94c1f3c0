"""What four numbers of a box mean, and whether boxes lie in their photo."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Literal

from genattr.dataset.photo import Box
from genattr.errors import UserError, require, warn_once

log = logging.getLogger(__name__)

Format = Literal["xyxy", "xywh", "cxcywh"]
Units = Literal["pixels", "relative"]
Boxes = dict[str, list[tuple[Box, int | None]]]
"""Each photo's boxes, half-open corners, with the class if the file gives one."""

COLUMNS: Mapping[Format, Sequence[tuple[str, str, str, str]]] = {
    "xyxy": [
        ("x0", "y0", "x1", "y1"),
        ("xmin", "ymin", "xmax", "ymax"),
        ("x1", "y1", "x2", "y2"),
        ("left", "top", "right", "bottom"),
    ],
    "xywh": [("x", "y", "width", "height"), ("x", "y", "w", "h")],
    "cxcywh": [("cx", "cy", "w", "h"), ("cx", "cy", "width", "height")],
}
FAR = 2  # shares do not reach beyond it, and boxes of pixels do
SLACK_PIXELS, SLACK_SHARE = 2, 0.01  # what boxes may stick out by: roundings
OTHER_ASPECT = 0.02


@dataclass(frozen=True)
class Annotated:
    """The boxes of a file or folder.

    Attributes
    ----------
    boxes
        By photo.
    units
        What they are measured in.
    frames
        Width and height of the annotated photo, for boxes in pixels, where that is known.
    """

    boxes: Boxes
    units: Units = "pixels"
    frames: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def check_units(self, where: str) -> None:
        """Refuse shares that are taken for pixels, and pixels that are taken for shares.

        Parameters
        ----------
        where
            Begins the line, such as "dataset.boxes=boxes.csv".

        Raises
        ------
        UserError
            Names the keys that would help.
        """
        every = [box for marked in self.boxes.values() for box, _ in marked]
        far = [box for box in every if max(map(abs, box)) > FAR]
        order = "dataset.box_format says what the four numbers are"
        require(
            self.units == "relative" or bool(far) or not every,
            f"{where}: all {len(every)} boxes are smaller than a pixel or two, as shares of the "
            f"photo are: dataset.box_units=relative? ({order})",
        )
        require(
            self.units == "pixels" or not far,
            f"{where}: {len(far)} of {len(every)} boxes are no shares of the photo, such as "
            f"{_written(*far)}: dataset.box_units=pixels? ({order})",
        )

    def placed(
        self, name: str, boxes: Sequence[Box], width: int, height: int, where: str
    ) -> list[Box]:
        """Return boxes of a photo in its pixels; a warning, once, tells where they do not fit.

        Parameters
        ----------
        boxes
            Those of the photo that count.
        width, height
            Of the upright photo.
        where
            Begins the warning, such as "dataset.boxes=boxes.csv".
        """
        across, down = self.frames.get(name, (width, height))
        if not math.isclose(across / down, width / height, rel_tol=OTHER_ASPECT):
            told = f"of {across:g} x {down:g} pixels, and the upright photo has {width} x {height}"
            warn_once(log, f"{where}: {name}: its boxes are {told}")
        if self.units == "relative":
            across, down = 1, 1
        if (across, down) != (width, height):
            x, y = width / across, height / down
            boxes = [(x0 * x, y0 * y, x1 * x, y1 * y) for x0, y0, x1, y1 in boxes]
        if boxes and self.units == "pixels" and max(map(max, boxes)) <= FAR:
            small = "all its boxes are smaller than a pixel or two, as shares of the photo are"
            warn_once(log, f"{where}: {name}: {small} (dataset.box_units?)")
        misplaced = _misplaced(boxes, width, height)
        if misplaced:
            warn_once(log, f"{where}: {name}: {misplaced}")
        return list(boxes)


def corners(numbers: Sequence[float], order: Format) -> Box:
    """Return a box's x0, y0, x1, y1 from four numbers."""
    a, b, c, d = numbers
    if order == "xyxy":
        return a, b, c, d
    if order == "xywh":
        return a, b, a + c, b + d
    return a - c / 2, b - d / 2, a + c / 2, b + d / 2


def parsed(texts: Sequence[str], order: Format, where: str) -> Box:
    """Return a box from four texts; UserError if it is none."""
    try:
        x0, y0, x1, y1 = box = corners([float(text) for text in texts], order)
    except ValueError as error:
        raise UserError(f"{where}: a box needs four numbers") from error
    if not (x0 < x1 and y0 < y1 and all(map(math.isfinite, box))):
        raise UserError(
            f"{where}: a box needs x0 < x1 and y0 < y1, unlike {' '.join(texts)} as "
            f"dataset.box_format={order}"
        )
    return box


def columns_of(header: Set[str], order: Format | None, file: str) -> tuple[Format, list[str]]:
    """Return what the four numbers of a table mean, and the columns that hold them.

    Parameters
    ----------
    header
        Names of all columns.
    order
        As the user states it: it wins; None: as the names of the columns say.

    Raises
    ------
    UserError
        If there are no such columns.
    """
    found = [(key, list(names)) for key, sets in COLUMNS.items() for names in sets
             if header >= set(names)]  # fmt: skip
    known = " or ".join(",".join(sets[0]) for sets in COLUMNS.values())
    require(len(found) > 0, f"{file} lacks the columns of a box: {known}")
    stated = [(key, names) for key, names in found if key == order]
    key, names = (stated or found)[0]
    return order or key, names


def _misplaced(boxes: Sequence[Box], width: int, height: int) -> str | None:
    """Say how many boxes lie outside a photo, or stick out by more than a rounding."""
    outside = [box for box in boxes if not _overlaps(box, width, height)]
    inside = (box for box in boxes if _overlaps(box, width, height))
    beyond = [box for box in inside if _sticks_out(box, width, height)]
    counts = [
        f"{len(some)} of {len(boxes)} boxes {word}"
        for some, word in ((outside, "outside"), (beyond, "sticking out of"))
        if some
    ]
    if not counts:
        return None
    none = "; it counts as without boxes" if len(outside) == len(boxes) else ""
    return (
        f"{' and '.join(counts)} its {width} x {height} pixels, such as "
        f"{_written(*outside, *beyond)} (dataset.box_format? dataset.box_units?){none}"
    )


def _overlaps(box: Box, width: int, height: int) -> bool:
    x0, y0, x1, y1 = box
    return x0 < width and y0 < height and x1 > 0 and y1 > 0


def _sticks_out(box: Box, width: int, height: int) -> bool:
    x0, y0, x1, y1 = box
    across, down = (max(SLACK_PIXELS, SLACK_SHARE * side) for side in (width, height))
    return min(x0, width - x1) < -across or min(y0, height - y1) < -down


def _written(*boxes: Box) -> str:
    """Write the first box."""
    return " ".join(f"{number:g}" for box in boxes[:1] for number in box)
