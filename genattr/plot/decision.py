"""One heatmap: the photo, the map alone and the map over the photo."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from genattr.plot.figures import LITERALLY, MAPS, Picture, canvas, clear, overlay
from genattr.plot.parts import Colors, Pixels


@mpl.rc_context(LITERALLY)
def triptych(
    image: Pixels, heatmap: NDArray[np.float32], colors: Colors, *, title: str, note: str
) -> Picture:
    """Draw a photo, its heatmap and both together.

    Parameters
    ----------
    image
        (D, D, 3) uint8.
    heatmap
        (D, D), any scale.
    """
    figure, cells = canvas(1, 3, title, note, 0, colors)
    most = max(float(np.abs(heatmap).max()), 1e-30)
    least = -most if colors == "diverging" else 0.0
    for column in range(3):
        axes = figure.add_subplot(cells[0, column])
        if column == 1:
            axes.imshow(heatmap, mpl.colormaps[MAPS[colors]], vmin=least, vmax=most)
        else:
            axes.imshow(image if column == 0 else overlay(image, heatmap, colors))
        clear(axes)
    return figure
