"""What the script that trained LightFill gives for its weights, on drawn photos and holes.

    python -m tests.filler.lightfill_golden

writes tests/data/lightfill/golden.npz anew; needed after the weights are replaced.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genattr.filler._lightfill import weights
from tests.conftest import REPO, SHARED

CARRIED = REPO / "tests" / "data" / "lightfill" / "golden.npz"
SCRIPT = SHARED / "data" / "lightfill" / "train.py"
SIDES = (96, 112, 128, 160, 224, 256, 100, 227)  # the last two are padded
THINNED = 7  # every seventh pixel is kept, which meets every phase of the network's cells
Mask = NDArray[np.bool_]


def _square(random: np.random.Generator, side: int) -> Mask:
    hole, length = np.zeros((side, side), bool), int(random.integers(5, 60))
    top, left = random.integers(0, side - length, 2)
    hole[top : top + length, left : left + length] = True
    return hole


def _box(random: np.random.Generator, side: int) -> Mask:
    hole = np.zeros((side, side), bool)
    (top, left), (bottom, right) = np.sort(random.integers(0, side, (2, 2)), axis=0)
    hole[top : bottom + 1, left : right + 1] = True
    return hole


def _segments(random: np.random.Generator, side: int) -> Mask:
    """Remove half of the cells nearest to 50 points."""
    points = random.uniform(0, side, (50, 2))
    pixels = np.stack(np.mgrid[:side, :side], axis=-1)[:, :, None]
    nearest = ((pixels - points) ** 2).sum(axis=-1).argmin(axis=-1)
    return (random.random(50) < 0.5)[nearest]


def _cells(random: np.random.Generator, side: int) -> Mask:
    coarse = random.random((-(-side // 8),) * 2) < 0.5
    return np.kron(coarse, np.ones((8, 8), bool))[:side, :side]


def _ellipse(random: np.random.Generator, side: int) -> Mask:
    y, x = np.mgrid[:side, :side]
    (top, left), (tall, wide) = random.uniform(0.2, 0.8, (2, 2)) * side
    return ((y - top) / tall) ** 2 + ((x - left) / wide) ** 2 < 0.25


def _strokes(random: np.random.Generator, side: int) -> Mask:
    y, x = np.mgrid[:side, :side]
    hole = np.zeros((side, side), bool)
    for top, left, angle, width in random.random((4, 4)):
        across = (y - top * side) * np.cos(7 * angle) + (x - left * side) * np.sin(7 * angle)
        hole |= np.abs(across) < 1 + 5 * width
    return hole


KINDS: dict[str, Callable[[np.random.Generator, int], Mask]] = {
    "square": _square,
    "box": _box,
    "segments": _segments,
    "cells": _cells,
    "object": _ellipse,
    "strokes": _strokes,
}


def drawn(kind: str, side: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return a (1, 3, side, side) photo in [0, 1] and a (1, 1, side, side) bool hole."""
    random = np.random.default_rng([seed, side, *kind.encode()])
    photo = np.zeros((3, side, side))
    for cell in (64, 16, 4, 1):
        coarse = random.random((3, *(-(-side // cell),) * 2)) / 4
        photo += np.kron(coarse, np.ones((1, cell, cell)))[:, :side, :side]
    hole = KINDS[kind](random, side)
    return torch.from_numpy(photo[None]).float(), torch.from_numpy(hole[None, None])


def cases() -> Iterator[tuple[str, int]]:
    """Yield kinds and sides: every kind at small, middle and large sides, 24 in all."""
    for number, kind in enumerate(KINDS):
        for step in range(4):
            yield kind, SIDES[(number + 2 * step + number // 4) % len(SIDES)]


def thinned(filled: Tensor) -> Tensor:
    """Keep every seventh pixel of (1, 3, H, W), down and across."""
    return filled[0, :, ::THINNED, ::THINNED]


@cache
def reference() -> nn.Module:
    """Return the training script's network, with the weights that come along."""
    spec = spec_from_file_location("lightfill_train", SCRIPT)
    assert spec is not None and spec.loader is not None  # noqa: PT018
    script: Any = module_from_spec(spec)
    spec.loader.exec_module(script)
    network: nn.Module = script.LightFill().eval().requires_grad_(False)
    network.load_state_dict({name: value.float() for name, value in weights.SHIPPED.load().items()})
    return network


def expected(photo: Tensor, hole: Tensor) -> Tensor:
    """Fill by the reference; the photo goes on at the right and the bottom as a hole."""
    side = photo.shape[-1]
    missing = -side % 16
    x = nn.functional.pad(photo * 2 - 1, (0, missing, 0, missing))
    keep = nn.functional.pad(1 - hole.float(), (0, missing, 0, missing))
    filled: Tensor = reference()(x * keep, keep)
    return ((filled.clamp(-1, 1) + 1) / 2)[..., :side, :side]


def write(file: Path) -> None:
    """Write the golden outputs."""
    found = {
        f"{kind} {side}": thinned(expected(*drawn(kind, side, 0))).numpy() for kind, side in cases()
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(file, **found)


if __name__ == "__main__":
    if not SCRIPT.is_file():
        sys.exit(f"needs {SCRIPT}")
    write(CARRIED)
