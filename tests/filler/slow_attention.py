"""Contextual attention once more, in float64 NumPy, patch by patch, from the description alone."""

from __future__ import annotations

import numpy as np

from tests.filler.seeded_deepfill import Array


def shrink(image: Array, height: int, width: int) -> Array:
    """Take the nearest pixels of an (H, W, C) image, corners on corners, halves upward."""
    rows, columns = (
        [min(int(np.floor(np.float32(i * np.float32((n - 1) / max(k - 1, 1))) + 0.5)), n - 1)
         for i in range(k)]
        for n, k in zip(image.shape[:2], (height, width), strict=True)
    )  # fmt: skip
    return image[rows][:, columns]


def patches(image: Array, side: int, stride: int) -> Array:
    """Cut (N, side, side, C) patches from an image with a border of one zero."""
    wide = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    height, width = image.shape[0] // stride, image.shape[1] // stride
    return np.stack(
        [
            wide[y * stride : y * stride + side, x * stride : x * stride + side]
            for y in range(height)
            for x in range(width)
        ]
    )


def diagonal_sums(scores: Array) -> Array:
    """Add to each score its neighbors on the diagonal."""
    wide = np.pad(scores, 1)
    return wide[:-2, :-2] + wide[1:-1, 1:-1] + wide[2:, 2:]


def fuse(scores: Array, height: int, width: int) -> Array:
    """Sum along rows, renumber column by column, sum again, renumber back."""
    column_first = np.arange(height * width).reshape(height, width).T.ravel()
    renumbered = diagonal_sums(scores)[np.ix_(column_first, column_first)]
    back = np.argsort(column_first)
    return diagonal_sums(renumbered)[np.ix_(back, back)]


def slow_attention(
    foreground: Array, background: Array, hole: Array, fused: bool = True, ported: bool = False
) -> tuple[Array, Array]:
    """Return the (H, W, C) result and the (N, N) weights for one (H, W, C) photo's features.

    ``ported`` halves and normalizes as PyTorch ports do.
    """
    foreground, background = foreground.astype(np.float64), background.astype(np.float64)
    height, width = foreground.shape[0] // 2, foreground.shape[1] // 2
    n = height * width
    half_f, half_b, half_hole = (
        part[::2, ::2] if ported else shrink(part, height, width)
        for part in (foreground, background, hole)
    )
    keys = patches(half_b, 3, 1).reshape(n, -1)
    if ported:
        keys = keys / np.sqrt((keys**2 + 1e-4).sum(axis=1, keepdims=True))
    else:
        keys = keys / np.maximum(np.sqrt((keys**2).sum(axis=1, keepdims=True)), 1e-4)
    queries = patches(half_f, 3, 1).reshape(n, -1)
    scores = queries @ keys.T
    if fused:
        scores = fuse(scores, height, width)
    known = ~patches(half_hole, 3, 1).reshape(n, -1).any(axis=1)
    logits = 10 * np.where(known, scores, 0)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    weights = shares / shares.sum(axis=1, keepdims=True) * known
    return pasted(weights, patches(background, 4, 2), foreground.shape), weights


def pasted(weights: Array, pieces: Array, shape: tuple[int, ...]) -> Array:
    """Add up the weighted patches where they belong, and divide by four."""
    canvas = np.zeros((shape[0] + 2, shape[1] + 2, shape[2]))
    mixed = (weights @ pieces.reshape(len(pieces), -1)).reshape(len(weights), *pieces.shape[1:])
    for position, piece in enumerate(mixed):
        y, x = divmod(position, shape[1] // 2)
        canvas[2 * y : 2 * y + 4, 2 * x : 2 * x + 4] += piece
    return canvas[1:-1, 1:-1] / 4
