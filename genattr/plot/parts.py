"""What pictures consist of: photos and columns of heatmaps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Colors = Literal["diverging", "single"]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Photo:
    """A row of a picture.

    Attributes
    ----------
    image_id
        Key of the row.
    image
        (D, D, 3) uint8.
    boxes
        (k, 4), or None.
    title
        Text below the photo.
    """

    image_id: str
    image: Pixels
    boxes: NDArray[np.float32] | None
    title: str


@dataclass(frozen=True)
class Column:
    """A run's heatmaps.

    Attributes
    ----------
    title, subtitle
        Of the run, and its parameters.
    heatmaps
        (D, D) raw maps by ``image_id``; a photo may be missing.
    captions
        Text below a map, by ``image_id``; may be missing.
    images
        (D, D, 3) uint8 shown as they are instead of a map, by ``image_id``.
    boxes
        (k, 4) drawn on the maps, by ``image_id``.
    colors
        Of the maps: see ``overlay``.
    """

    title: str
    subtitle: str
    heatmaps: Mapping[str, NDArray[np.float32]]
    captions: Mapping[str, str]
    images: Mapping[str, Pixels] = field(default_factory=dict)
    boxes: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    colors: Colors = "diverging"
