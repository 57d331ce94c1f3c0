"""What the owners of a segmentation, LIME and the mean segment, have in common."""

from __future__ import annotations

from collections.abc import Sequence

from genattr.protocols import Segmentation
from genattr.segmentation.slic import Slic

KEYS = ("n_segments", "compactness", "sigma")  # of the owner


def idle_beside(segmentation: Segmentation) -> Sequence[str]:
    """Return the owner's parameters that change nothing; SLIC is told by its keys alone."""
    if segmentation == Slic():
        return ("segmentation",)
    return tuple(key for key in KEYS if key not in segmentation.uses)
