"""Large photos in parts, so that what converts them needs little memory beside them."""

from __future__ import annotations

from collections.abc import Iterator

PIXELS = 2**22  # of a part


def bands(width: int, height: int) -> Iterator[tuple[int, int]]:
    """Yield the first row of each part, and the row after its last."""
    rows = max(PIXELS // max(width, 1), 1)
    for top in range(0, height, rows):
        yield top, min(top + rows, height)
