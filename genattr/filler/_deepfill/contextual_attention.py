"""Contextual attention (Yu et al., CVPR 2018): a hole is rebuilt from patches of its photo.

Everything is a batch of (B, C, H, W) features; N = h * w counts the positions of the halved map.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

SOFTMAX_SCALE = 10.0
LEAST_NORM = 1e-4
OVERLAP = 4.0  # how many pasted patches meet at an inner pixel
ROOM = 1 << 24  # scores computed at once: 64 MB of them, and a few copies


def contextual_attention(
    foreground: Tensor,
    background: Tensor,
    hole: Tensor,
    *,
    fused: bool = True,
    ported: bool = False,
) -> Tensor:
    """Rebuild the foreground from patches of the background.

    Rows are independent; as many are computed at once as memory should allow.

    Parameters
    ----------
    foreground, background
        (B, C, H, W), H and W even.
    hole
        (B, 1, H, W) of 0 and 1; patches that touch the hole are not used.
    fused
        Neighbors of similar patches count too.
    ported
        Halve and normalize as the known PyTorch ports do, instead of the authors' graph: each
        halving takes the first of two pixels, and lengths are never 0 because of a summand.

    Returns
    -------
    (B, C, H, W).
    """
    height, width = foreground.shape[-2] // 2, foreground.shape[-1] // 2
    rows = max(1, ROOM // (height * width) ** 2)
    parts = zip(foreground.split(rows), background.split(rows), hole.split(rows), strict=True)
    return torch.cat(
        [paste(attention(f, b, m, fused=fused, ported=ported), b) for f, b, m in parts]
    )


def attention(
    foreground: Tensor,
    background: Tensor,
    hole: Tensor,
    *,
    fused: bool = True,
    ported: bool = False,
) -> Tensor:
    """Return the (B, N, N) weight of each patch (last axis) at each position of the halved map."""
    height, width = foreground.shape[-2] // 2, foreground.shape[-1] // 2
    shrink = first if ported else nearest
    queries, keys, removed = (
        shrink(part, height, width) for part in (foreground, background, hole)
    )
    scores = similarity(queries, keys, ported=ported)
    if fused:
        scores = fuse(scores, height, width)
    return weights(scores, usable(removed))


def similarity(queries: Tensor, keys: Tensor, *, ported: bool = False) -> Tensor:
    """Compare 3x3 patches: (B, N, N) products of each query with each key of length 1."""
    key = functional.unfold(keys, 3, padding=1)
    if ported:
        length = (key**2 + LEAST_NORM).sum(dim=1, keepdim=True).sqrt()
    else:
        length = key.norm(dim=1, keepdim=True).clamp(min=LEAST_NORM)
    key = key / length
    query = functional.unfold(queries, 3, padding=1)
    return torch.bmm(query.transpose(1, 2), key)


def usable(hole: Tensor) -> Tensor:
    """Return (B, 1, N) float: 1 for positions whose 3x3 patch holds nothing of the hole."""
    touched = functional.max_pool2d(hole, 3, stride=1, padding=1)
    return (touched == 0).to(hole.dtype).flatten(2)


def fuse(scores: Tensor, height: int, width: int) -> Tensor:
    """Add the scores of the neighbors in a row, then of the neighbors in a column.

    As in the authors' network, the end of a row and the start of the next are neighbors.
    """
    across = _along_diagonal(scores)
    down = _along_diagonal(_transposed(across, height, width))
    return _transposed(down, width, height)


def _along_diagonal(scores: Tensor) -> Tensor:
    """Add to each score those of the previous and of the next pair of positions."""
    total = scores.clone()
    total[:, 1:, 1:] += scores[:, :-1, :-1]
    total[:, :-1, :-1] += scores[:, 1:, 1:]
    return total


def _transposed(scores: Tensor, height: int, width: int) -> Tensor:
    """Count the positions on both axes column by column instead of row by row."""
    grid = scores.view(-1, height, width, height, width)
    return grid.permute(0, 2, 1, 4, 3).reshape(scores.shape)


def weights(scores: Tensor, usable_keys: Tensor) -> Tensor:
    """Turn scores into weights; unusable keys get weight 0, but take part in the softmax."""
    return (scores * usable_keys).mul_(SOFTMAX_SCALE).softmax(dim=2).mul_(usable_keys)


def paste(attended: Tensor, background: Tensor) -> Tensor:
    """Lay the weighted mean of 4x4 patches at each position; they overlap by half.

    The outermost pixels, where fewer patches meet, come out darker, as in the authors' network.
    """
    patches = functional.unfold(background, 4, stride=2, padding=1)
    mixed = patches @ attended.transpose(1, 2)
    return functional.fold(mixed, background.shape[-2:], 4, stride=2, padding=1) / OVERLAP


def nearest(images: Tensor, height: int, width: int) -> Tensor:
    """Resize to nearest pixels, corners on corners; PyTorch has no such mode."""
    rows, columns = (
        nearest_index(size, wanted, images.device)
        for size, wanted in zip(images.shape[-2:], (height, width), strict=True)
    )
    return images[..., rows[:, None], columns]


def first(images: Tensor, height: int, width: int) -> Tensor:
    """Resize to a whole fraction by the first pixel of each window."""
    return images[..., :: images.shape[-2] // height, :: images.shape[-1] // width]


@lru_cache(maxsize=32)
def nearest_index(size: int, wanted: int, device: torch.device) -> Tensor:
    """Return which of ``size`` pixels each of the ``wanted`` ones takes; halves are rounded up."""
    step = torch.tensor((size - 1) / max(wanted - 1, 1), dtype=torch.float32)
    position = torch.arange(wanted, dtype=torch.float32) * step
    return (position + 0.5).floor().long().clamp(max=size - 1).to(device)
