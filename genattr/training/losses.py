"""Losses of the two networks. Images are (B, 3, H, W) in [-1, 1], holes (B, 1, H, W) float."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

DEEP = 0.3  # weight of a pixel far inside a hole, where only blurred colors can be known
RIM = 9  # side of the window, applied twice, that tells how near kept pixels are
KEPT = 0.1  # weight of kept pixels
BLURRED = 0.5  # weight of the colors of blocks
BLOCK = 8  # pixels
SLACK = 0.02  # share of the crop that is added to a hole's area, so that small holes weigh less
LEAST = 1e-4


def rim_weights(hole: Tensor) -> Tensor:
    """Weigh removed pixels: 1 beside the rim, .3 deep inside, 0 outside."""
    near = 1 - hole
    for _ in range(2):
        near = functional.avg_pool2d(near, RIM, 1, RIM // 2)
    return hole * (DEEP + (1 - DEEP) * (2 * near).clamp(max=1))


def reconstruction(filled: Tensor, images: Tensor, hole: Tensor) -> Tensor:
    """Return the L1 distance from the photo: rim-weighted, of kept pixels, of blocks of 8 px."""
    area = hole.sum((1, 2, 3)) + SLACK * hole.shape[-1] * hole.shape[-2]
    distance = (filled - images).abs().mean(1, keepdim=True)
    removed = ((rim_weights(hole) * distance).sum((1, 2, 3)) / area).mean()
    kept = ((1 - hole) * distance).mean()
    blocks = functional.avg_pool2d((filled - images) * hole, BLOCK).abs().mean(1)
    blurred = (blocks.sum((1, 2)) * BLOCK**2 / area).mean()
    return removed + KEPT * kept + BLURRED * blurred


def patch_weights(hole: Tensor, logits: Tensor) -> Tensor:
    """Weigh (B, 1, h, w) logits: equally where their patch sees the hole; they sum to 1."""
    seen = functional.adaptive_max_pool2d(hole, logits.shape[-2:])
    return seen / seen.sum((1, 2, 3), keepdim=True).clamp_min(1)


def hinge(real: Sequence[Tensor], fake: Sequence[Tensor], hole: Tensor) -> Tensor:
    """Return the discriminator's loss: real logits above 1 and fake ones below -1 cost nothing."""
    costs = [
        _mean_of_patches(functional.relu(1 - one) + functional.relu(1 + other), hole)
        for one, other in zip(real, fake, strict=True)
    ]
    return sum(costs[1:], costs[0]) / len(costs)


def fooling(fake: Sequence[Tensor], hole: Tensor) -> Tensor:
    """Return the inpainter's hinge loss: what the discriminator thinks of its fills, negated."""
    costs = [_mean_of_patches(-logits, hole) for logits in fake]
    return sum(costs[1:], costs[0]) / len(costs)


def feature_matching(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """Return the mean distance of the discriminator's features, relative to the real ones' size."""
    costs = [
        (one.float() - other.float()).abs().mean() / other.float().abs().mean().clamp_min(LEAST)
        for one, other in zip(fake, real, strict=True)
    ]
    return sum(costs[1:], costs[0]) / len(costs)


def _mean_of_patches(values: Tensor, hole: Tensor) -> Tensor:
    return (patch_weights(hole, values) * values).sum((1, 2, 3)).mean()
