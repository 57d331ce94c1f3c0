"""What a network's images tell about the range of its pixels and the polarity of its mask.

All images are in the range that is told, 0 = black and 1 = white, and not clamped: ``images`` are
the photos, ``filled`` what the network gave, both (n, 3, h, w), and ``hole`` is (n, 1, h, w) bool.
"""

from __future__ import annotations

from torch import Tensor

from genattr.filler.inpainting import dilated

OUTSIDE = 0.25  # mean distance of a hole's pixels from the range; no network overshoots so far
FAITHFUL = 0.95  # correlation from which on the kept pixels count as given back
ENDS = 0.25  # distance of black or white from where it is told, in kept pixels given back
NEAR = 0.05  # mean distance up to which pixels count as blank
CONTRAST = 0.05  # standard deviation of pixels that tell anything
ROUGH = 0.75  # step between neighbors per standard deviation, below which pixels are no noise
RING = 8  # pixels around a hole
FAINT = 1.5 / 255  # what is left of a white pixel, 1, in the range [0, 255], overshoot included
WIDEST = 300.0  # numbers above are no pixels
COMMON = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))

Ends = tuple[float, float]  # the values of a black and of a white pixel


def excess(filled: Tensor, hole: Tensor) -> float:
    """Return the mean distance of a hole's pixels from [0, 1], the largest of any row."""
    far = (filled - filled.clamp(0, 1)).abs().mean(dim=1, keepdim=True)
    inside = (far * hole).flatten(1).sum(dim=1) / hole.flatten(1).sum(dim=1).clamp(min=1)
    return float(inside.max())


def can_be_recognized(images: Tensor, hole: Tensor) -> bool:
    """Whether the kept pixels differ, and neighbors little: a photo, not flat, and no noise."""
    kept = _of(images, ~hole)
    if len(kept) < 2 or images.shape[-1] < 2:
        return False
    spread = float(kept.std())
    return spread > CONTRAST and float(images.diff(dim=-1).abs().mean()) < ROUGH * spread


def ends(images: Tensor, hole: Tensor, filled: Tensor) -> Ends | None:
    """Return what became of black and of white; None unless the kept pixels are given back.

    By a straight line through the kept pixels before and after.
    """
    before, after = _of(images, ~hole), _of(filled, ~hole)
    if not len(before):
        return None
    mean, level = before.mean(), after.mean()
    before, after = before - mean, after - level
    both, own = before @ after, before @ before
    if not both > FAITHFUL * (own * (after @ after)).sqrt():
        return None
    slope = both / own
    black = float(level - slope * mean)
    return black, black + float(slope)


def is_bright_around(images: Tensor, hole: Tensor) -> bool:
    """Whether no pixel around the hole is dark."""
    around = images.amax(dim=1, keepdim=True)[_ring(hole)]
    return len(around) > 0 and float(around.min()) > 2 * NEAR


def is_faint(filled: Tensor, hole: Tensor) -> bool:
    """Whether the hole's content is black but for traces of something."""
    return 0 < float(_of(filled, hole).abs().max()) <= FAINT


def stands_out(images: Tensor, hole: Tensor, blank: float) -> bool:
    """Whether the surroundings of the hole are not blank themselves."""
    around = _of(images, _ring(hole))
    return len(around) > 0 and float((around - blank).abs().mean()) > 2 * NEAR


def is_blank(filled: Tensor, hole: Tensor, blank: float) -> bool:
    """Whether the hole is still as blank as the network was shown it."""
    return float((_of(filled, hole) - blank).abs().mean()) < NEAR


def likely_range(seen: Ends, *, exact: bool) -> Ends | None:
    """Return the range that a network's pixels seem to have; None: none that is known.

    Parameters
    ----------
    seen
        Their lowest and highest value.
    exact
        These are black and white, and not those of a photo that may have neither.
    """
    for low, high in COMMON:
        slack = 0.15 * (high - low)
        near = abs(seen[0] - low) < slack and abs(seen[1] - high) < slack
        if near or (not exact and low - slack < seen[0] and seen[1] < high + slack):
            return low, high
    return seen if exact and max(map(abs, seen)) < WIDEST else None


def _of(images: Tensor, part: Tensor) -> Tensor:
    """Return the values of all channels in a part of the pixels."""
    return images[part.expand_as(images)]


def _ring(hole: Tensor) -> Tensor:
    return dilated(hole, RING) & ~hole
