"""Mirror against a slow reading of its definition, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt, gaussian_filter

from genattr.filler import mirror
from genattr.filler.mirror import Mirror
from genattr.ops.nearest import nearest_by_columns
from tests.syncs import waits


def reference(image: np.ndarray, hole: np.ndarray, sigma: float) -> np.ndarray:
    """Fill one (H, W, 3) photo by the text alone."""
    known = ~hole
    if not known.any():
        return np.broadcast_to([0.485, 0.456, 0.406], image.shape)
    base = colors(image * known[..., None], known.astype(float))
    smooth = [gaussian_filter(image[..., c] * known, sigma, mode="mirror") for c in range(3)]
    weight = np.maximum(gaussian_filter(known.astype(float), sigma, mode="mirror"), 1e-3)
    detail = image * known[..., None] - np.stack(smooth, -1) / weight[..., None]
    nearest = distance_transform_edt(hole, return_distances=False, return_indices=True)
    height, width = hole.shape
    filled = base.copy()
    for y, x in np.argwhere(hole):
        by, bx = nearest[:, y, x]
        for t in (1, 0.6, 0.3):
            qy, qx = fold(by + t * (by - y), height), fold(bx + t * (bx - x), width)
            if known[qy, qx]:
                filled[y, x] += detail[qy, qx]
                break
    return filled.clip(0, 1)


def fold(position: float, size: int) -> int:
    """Round to a pixel and reflect at the edges until it is inside."""
    p = int(np.rint(np.float32(position)))
    while not 0 <= p < size:
        p = -p if p < 0 else 2 * (size - 1) - p
    return p


def colors(color: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Pull to one pixel and push back; color is 0 where the weight is 0."""
    height, width = weight.shape
    if height == width == 1:
        return color
    half = ((height + 1) // 2, (width + 1) // 2)
    coarse, coarse_weight = np.zeros((*half, 3)), np.zeros(half)
    for i in range(half[0]):
        for j in range(half[1]):
            block = np.s_[2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            total = weight[block].mean()
            if total > 0:
                coarse_weight[i, j] = min(4 * total, 1)
                coarse[i, j] = color[block].mean(axis=(0, 1)) / total * coarse_weight[i, j]
    pushed = torch.from_numpy(colors(coarse, coarse_weight)).permute(2, 0, 1)[None]
    upsampled = torch.nn.functional.interpolate(
        pushed, size=(height, width), mode="bilinear", align_corners=False
    )
    return color + (1 - weight[..., None]) * upsampled[0].permute(1, 2, 0).numpy()


def blobs(size: int, random: np.random.Generator) -> np.ndarray:
    coarse = random.random((5, 5)) < random.uniform(0.1, 0.9)
    repeats = -(-size // 5)
    return np.kron(coarse, np.ones((repeats, repeats), bool))[:size, :size]


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), size=st.sampled_from([8, 17, 30, 32]))
def test_equals_the_definition(seed: int, size: int) -> None:
    random = np.random.default_rng(seed)
    image, hole = random.random((size, size, 3)), blobs(size, random)
    expected = reference(image, hole, 4.0)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    filled = Mirror(4.0).fill(tensor, torch.from_numpy(hole)[None, None], [0])
    inside = filled[0].permute(1, 2, 0).numpy()[hole]
    assert np.allclose(inside, expected[hole], atol=2e-4)


@pytest.mark.parametrize("corner", [(0, 0), (0, 20), (20, 20), (10, 0)])
def test_holes_at_the_border(corner: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    image, hole = random.random((32, 32, 3)), np.zeros((32, 32), bool)
    hole[corner[0] : corner[0] + 12, corner[1] : corner[1] + 12] = True
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    filled = Mirror(4.0).fill(tensor, torch.from_numpy(hole)[None, None], [0])
    inside = filled[0].permute(1, 2, 0).numpy()[hole]
    assert np.allclose(inside, reference(image, hole, 4.0)[hole], atol=2e-4)


def several(rows: int, size: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """Return photos and holes: blobs, a small square in a corner, nothing, everything."""
    random = np.random.default_rng(rows)
    images = torch.from_numpy(random.random((rows, 3, size, size))).float()
    hole = torch.from_numpy(np.stack([blobs(size, random) for _ in range(rows)]))[:, None]
    for row, (where, removed) in enumerate(((np.s_[:7, 30:], True), (np.s_[:], False))):
        hole[row, 0] = False
        hole[row, 0][where] = removed
    hole[2] = True
    return images, hole


def test_other_devices_fill_with_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    images, hole = several(12)
    host = Mirror(2.0).fill(images, hole, [])
    monkeypatch.setattr(mirror, "nearest_known", nearest_by_columns)
    assert torch.equal(host, Mirror(2.0).fill(images, hole, []))


def test_a_row_has_the_same_bits_alone_and_beside_others() -> None:
    images, hole = several(12, size=64)
    together = Mirror(1.0).fill(images, hole, [])
    for row in range(12):
        alone = Mirror(1.0).fill(images[row : row + 1], hole[row : row + 1], [])
        assert torch.equal(alone[0], together[row])


def test_another_device_waits_no_longer_for_more_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "nearest_known", nearest_by_columns)
    few, many = several(4), several(12)
    counts = [waits(lambda s=scene: Mirror(2.0).fill(*s, [])) for scene in (few, many)]
    assert counts[0] == counts[1] <= 4
