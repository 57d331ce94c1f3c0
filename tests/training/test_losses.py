from __future__ import annotations

import pytest
import torch

from genattr.training import losses

SIZE = 64


def half_removed() -> torch.Tensor:
    """The right half of a crop."""
    hole = torch.zeros(1, 1, SIZE, SIZE)
    hole[..., SIZE // 2 :] = 1
    return hole


def test_rim_weights_fall_from_the_rim_to_three_tenths() -> None:
    weights = losses.rim_weights(half_removed())[0, 0, SIZE // 2]
    assert weights[: SIZE // 2].eq(0).all()
    # Two box filters of 9 px see sum_{d > k} (9 - d) / 81 of what is kept, k pixels inside.
    for inside in range(12):
        kept = sum(max(9 - distance, 0) for distance in range(inside + 1, 9)) / 81
        expected = 0.3 + 0.7 * min(2 * kept, 1)
        assert weights[SIZE // 2 + inside].item() == pytest.approx(expected, abs=1e-5)
    assert weights[-8 - 4 : -8].tolist() == pytest.approx([0.3] * 4)


def test_reconstruction_of_the_photo_itself_costs_nothing() -> None:
    photo = torch.rand(2, 3, SIZE, SIZE) * 2 - 1
    assert losses.reconstruction(photo, photo, half_removed().expand(2, -1, -1, -1)) == 0


def test_reconstruction_by_its_parts() -> None:
    hole, photo = half_removed(), torch.zeros(1, 3, SIZE, SIZE)
    area = hole.sum() + 0.02 * SIZE**2
    weighted = losses.rim_weights(hole).sum() / area
    off_inside = losses.reconstruction(photo + 0.4 * hole, photo, hole)
    blocks = 0.5 * 0.4 * hole.sum() / area
    assert off_inside.item() == pytest.approx(float(0.4 * weighted + blocks), rel=1e-5)
    off_outside = losses.reconstruction(photo + 0.4 * (1 - hole), photo, hole)
    assert off_outside.item() == pytest.approx(0.1 * 0.4 * 0.5, rel=1e-5)


def test_noise_without_a_mean_costs_no_color_of_blocks() -> None:
    hole, photo = half_removed(), torch.zeros(1, 3, SIZE, SIZE)
    checkered = torch.ones(SIZE, SIZE)
    checkered[::2, ::2] = checkered[1::2, 1::2] = -1
    loss = losses.reconstruction(0.4 * checkered * hole, photo, hole)
    area = hole.sum() + 0.02 * SIZE**2
    assert loss.item() == pytest.approx(float(0.4 * losses.rim_weights(hole).sum() / area))


def test_patches_weigh_alike_where_they_see_the_hole() -> None:
    weights = losses.patch_weights(half_removed(), torch.zeros(1, 1, 2, 2))
    assert weights.flatten().tolist() == [0, 0.5, 0, 0.5]


def test_hinge_and_fooling_in_closed_form() -> None:
    hole = half_removed()
    real, fake = torch.full((1, 1, 2, 2), 0.25), torch.full((1, 1, 2, 2), -0.5)
    ignored = torch.tensor([[[[9.0, 0], [-9, 0]]]])  # outside the hole
    assert losses.hinge([real + ignored, real], [fake + ignored, fake], hole) == 0.75 + 0.5
    assert losses.hinge([real + 5], [fake - 5], hole) == 0
    assert losses.fooling([fake, fake + 1], hole) == (0.5 - 0.5) / 2


def test_features_are_compared_relative_to_their_size() -> None:
    real = [torch.full((1, 2, 4, 4), 2.0), torch.full((1, 2, 2, 2), -10.0)]
    fake = [torch.full((1, 2, 4, 4), 3.0), torch.full((1, 2, 2, 2), -10.0)]
    assert losses.feature_matching(fake, real) == (0.5 + 0) / 2
