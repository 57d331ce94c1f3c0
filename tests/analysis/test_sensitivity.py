"""Similarity and sensitivity against scikit-image and SciPy called directly, and by their laws."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr
from skimage.feature import hog
from skimage.metrics import structural_similarity

from genattr.analysis.sensitivity import Sensitivity, compare, spread
from genattr.analysis.similarity import pair_similarities, pairs, similarity, view
from genattr.errors import UserError
from genattr.types import Heatmap, Placement

SIGNED, UNIT = (-1.0, 1.0), (0.0, 1.0)
SIZE = 64


def heatmap(values: torch.Tensor, value_range: tuple[float, float] = SIGNED) -> Heatmap:
    return Heatmap(values.float(), value_range, Placement(), "photo", 3, 0.5, 1, 1)


def noise(seed: int, value_range: tuple[float, float] = SIGNED, cells: int = 9) -> Heatmap:
    drawn = torch.rand(cells, cells, generator=torch.Generator().manual_seed(seed))
    low, high = value_range
    return heatmap(low + (high - low) * drawn * 0.7, value_range)


def directly(a: Heatmap, b: Heatmap, data_range: float) -> tuple[float, float, float]:
    """The definitions, spelled out with the libraries' own functions."""
    maps = []
    for one in (a, b):
        pixels = (
            torch.nn.functional.interpolate(
                one.values[None, None], (SIZE, SIZE), mode="bilinear", align_corners=False
            )[0, 0]
            .double()
            .numpy()
        )
        maps.append(pixels / np.abs(pixels).max() if data_range == 2 else pixels)
    features = [
        hog(one, orientations=9, pixels_per_cell=(16, 16), cells_per_block=(3, 3)) for one in maps
    ]
    return (
        structural_similarity(*maps, win_size=5, gaussian_weights=False, data_range=data_range),
        pearsonr(*features).statistic,
        spearmanr(*(one.ravel() for one in maps)).statistic,
    )


@pytest.mark.parametrize(
    ("value_range", "data_range"),
    [(SIGNED, 2), ((-math.inf, math.inf), 2), ((-0.5, 0.5), 2), ((0.0, math.inf), 2), (UNIT, 1)],
)
def test_agrees_with_the_libraries(value_range: tuple[float, float], data_range: float) -> None:
    a, b = (
        heatmap(noise(seed, UNIT).values - 0.3 * (data_range == 2), value_range) for seed in (0, 1)
    )
    found = similarity(view(a, SIZE), view(b, SIZE))
    assert found == pytest.approx(directly(a, b, data_range), abs=1e-5)


@pytest.mark.parametrize("value_range", [SIGNED, UNIT])
def test_equal_maps_have_similarity_one(value_range: tuple[float, float]) -> None:
    one = view(noise(0, value_range), SIZE)
    assert similarity(one, one) == pytest.approx((1, 1, 1), abs=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.5])
@pytest.mark.parametrize("value_range", [SIGNED, UNIT])
def test_a_constant_map_leaves_every_measure_undefined(
    value: float, value_range: tuple[float, float]
) -> None:
    constant = view(heatmap(torch.full((5, 5), value), value_range), SIZE)
    for other in (view(noise(0, value_range), SIZE), constant):
        assert all(map(math.isnan, similarity(constant, other)))
        assert all(map(math.isnan, similarity(other, constant)))


def test_a_map_without_any_gradient_has_no_hog() -> None:
    checkers = torch.arange(SIZE)[:, None].add(torch.arange(SIZE)).remainder(2).float() - 0.5
    found = similarity(view(heatmap(checkers), SIZE), view(noise(0), SIZE))
    assert [math.isnan(value) for value in found] == [False, True, False]


def test_maps_too_small_for_hog_are_refused() -> None:
    with pytest.raises(UserError, match="needs maps of 48 pixels; the classifier takes 47"):
        view(noise(0), 47)
    assert view(noise(0), 48).pixels.shape == (48, 48)


@given(st.integers(0, 99), st.integers(0, 99), st.sampled_from([SIGNED, UNIT]))
def test_similarity_is_symmetric_and_in_range(
    first: int, second: int, value_range: tuple[float, float]
) -> None:
    a, b = view(noise(first, value_range), SIZE), view(noise(second, value_range), SIZE)
    found = similarity(a, b)
    assert found == pytest.approx(similarity(b, a), abs=1e-12)
    assert all(-1 <= value <= 1 + 1e-12 for value in found)


@given(st.integers(0, 99), st.sampled_from([2.0**-7, 0.5, 4.0, 2.0**9]))
def test_the_scale_of_a_signed_map_does_not_matter(seed: int, scale: float) -> None:
    a, b = noise(seed), noise(seed + 100)
    scaled = heatmap(b.values * scale, (-math.inf, math.inf))
    plain, other = (similarity(view(a, SIZE), view(one, SIZE)) for one in (b, scaled))
    assert plain == pytest.approx(other, abs=1e-12)


def test_the_scale_of_a_map_in_0_to_1_does_matter() -> None:
    a, b = noise(0, UNIT), noise(1, UNIT)
    halved = heatmap(b.values / 2, UNIT)
    assert similarity(view(a, SIZE), view(b, SIZE))[0] != pytest.approx(
        similarity(view(a, SIZE), view(halved, SIZE))[0], abs=1e-3
    )


def test_pairs_come_in_one_order() -> None:
    maps = [noise(seed) for seed in range(4)]
    found = pair_similarities(maps, SIZE)
    expected = [similarity(view(a, SIZE), view(b, SIZE)) for a, b in combinations(maps, 2)]
    assert found.shape == (6, 3)
    assert found.tolist() == [list(row) for row in expected]
    assert pairs("abcd") == [*combinations("abcd", 2)]


def test_the_score_is_the_mean_over_photos_of_the_mean_over_pairs() -> None:
    nan = math.nan
    found = spread(np.array([[0.2, 0.4, 0.6], [1.0, nan, 0.8], [nan, nan, nan]]))
    assert found.score.mean == pytest.approx((0.4 + 0.9) / 2)
    assert (found.score.n, found.score.undefined) == (2, 1)
    assert found.over_images == pytest.approx(np.std([0.4, 0.9], ddof=1))
    assert found.over_pairs == pytest.approx((0.2 + np.std([1.0, 0.8], ddof=1)) / 2)
    assert (found.pairs, found.undefined_pairs) == (9, 4)


def test_one_photo_with_one_pair_has_a_score_and_no_spread() -> None:
    found = spread(np.array([[0.5]]))
    assert found.score.mean == 0.5
    assert math.isnan(found.over_images)
    assert math.isnan(found.over_pairs)


def compared() -> Sensitivity:
    maps = {
        value: [heatmap(noise(10 * photo + seed).values) for photo in range(2)]
        for seed, value in enumerate(("5", "17", "29"))
    }
    maps["29"][1] = heatmap(torch.zeros(3, 3))
    return compare("SP", "patch_size", maps, SIZE)


def test_compare_counts_undefined_pairs_and_drops_none() -> None:
    found = compared()
    assert found.similarities.shape == (2, 3, 3)
    assert np.isnan(found.similarities[1]).tolist() == [[False] * 3, [True] * 3, [True] * 3]
    metrics = found.metrics()
    assert metrics["sensitivity/count/ssim_pairs"] == 6
    assert metrics["sensitivity/count/hog_undefined_pairs"] == 2
    by_hand = (found.similarities[0, :, 0].mean() + found.similarities[1, 0, 0]) / 2
    assert metrics["sensitivity/ssim"] == pytest.approx(by_hand)


def test_a_value_is_compared_to_the_others() -> None:
    found = compared()
    row = found.similarities[:, :, 2]
    expected = ((row[0, 0] + row[0, 2]) / 2 + row[1, 0]) / 2
    assert found.to_others("17")["spearman"] == pytest.approx(expected)
    assert found.to_others("29")["spearman"] == pytest.approx((row[0, 1] + row[0, 2]) / 2)


def test_rows_hold_each_photo_with_its_pairs() -> None:
    first, second = compared().rows()
    assert first["values"] == ["5", "17", "29"]
    assert first["ssim"] == pytest.approx(np.mean(first["ssim_pairs"]))
    assert second["ssim_undefined_pairs"] == 2
    assert second["ssim"] == second["ssim_pairs"][0]


def test_heatmaps_of_different_photos_are_not_compared() -> None:
    other = Heatmap(torch.rand(3, 3), SIGNED, Placement(), "other", 3, 0.5, 1, 1)
    with pytest.raises(ValueError, match="different photos"):
        compare("SP", "seed", {"0": [noise(0)], "1": [other]}, SIZE)
    with pytest.raises(ValueError):
        compare("SP", "seed", {"0": [noise(0)], "1": []}, SIZE)
