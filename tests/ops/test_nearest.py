"""The nearest known pixels against SciPy's distance transform, the choice among equals included."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from genattr.ops import nearest


def scattered(random: np.random.Generator, rows: int, height: int, width: int) -> np.ndarray:
    return random.random((rows, height, width)) < random.uniform(0.05, 0.98)


def rectangles(random: np.random.Generator, rows: int, height: int, width: int) -> np.ndarray:
    """Return unions of one to four rectangles, some with holes of single pixels."""
    holes = np.zeros((rows, height, width), bool)
    for hole in holes:
        for _ in range(random.integers(1, 5)):
            y, x = random.integers(height), random.integers(width)
            hole[y : y + random.integers(1, height), x : x + random.integers(1, width)] = True
        if random.random() < 0.3:
            hole &= random.random((height, width)) < 0.95
    return holes


def by_scipy(hole: np.ndarray) -> np.ndarray:
    return distance_transform_edt(hole, return_distances=False, return_indices=True)


@pytest.mark.parametrize("seed", range(20))
def test_small_masks_have_scipys_choice(seed: int) -> None:
    random = np.random.default_rng(seed)
    height, width = random.integers(1, 9, 2)
    for make in (scattered, rectangles):
        holes = make(random, 60, height + 1, width + 1)
        holes[holes.all(axis=(1, 2)), 0, 0] = False
        found = torch.stack(nearest.transform(torch.from_numpy(holes)), dim=1)
        assert np.array_equal(found, np.stack([by_scipy(hole) for hole in holes]))


@pytest.mark.parametrize("make", [scattered, rectangles])
def test_large_masks_have_scipys_choice(make: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "ROOM", 100_000)  # several parts
    holes = make(np.random.default_rng(0), 4, 90, 77)
    found = torch.stack(nearest.transform(torch.from_numpy(holes)), dim=1)
    assert np.array_equal(found, np.stack([by_scipy(hole) for hole in holes]))


def test_a_side_of_a_thousand_pixels_does_not_overflow() -> None:
    hole = torch.ones(1, 3, 1000, dtype=torch.bool)
    hole[0, 1, 0] = False
    y, x = nearest.transform(hole)
    assert (y == 1).all()
    assert (x == 0).all()


def both(hole: Tensor) -> tuple[Tensor, Tensor]:
    pixels = hole[:, 0].nonzero().unbind(1)
    return (
        torch.stack(nearest.nearest_known(hole, pixels)),
        torch.stack(nearest.nearest_by_columns(hole, pixels)),
    )


def test_both_ways_agree_on_all_kinds_of_rows() -> None:
    random = np.random.default_rng(1)
    hole = torch.from_numpy(rectangles(random, 30, 40, 33))[:, None]
    hole[3], hole[4] = False, False
    hole[4, 0, 39, 32] = True
    hole[5] = hole[6]  # from the windows that are kept
    host, device = both(hole)
    assert host.shape[1] == int(hole.sum())
    assert torch.equal(host, device)


def test_a_photo_removed_whole_gets_pixels_inside_it() -> None:
    for found in both(torch.ones(2, 1, 6, 5, dtype=torch.bool)):
        assert found.shape == (2, 60)
        assert ((found >= 0) & (found < torch.tensor([[6], [5]]))).all()
