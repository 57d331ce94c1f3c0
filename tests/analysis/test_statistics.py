"""Bootstrap intervals and paired comparisons."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from genattr.analysis.statistics import estimate, holm, paired, photos_needed

SCORES = st.floats(-10, 10, width=16) | st.just(math.nan)
PAIRS = st.lists(st.tuples(SCORES, SCORES), max_size=20)
P_VALUES = st.lists(st.floats(0, 1) | st.just(math.nan), max_size=8)


def test_interval_of_a_normal_sample_is_the_textbooks() -> None:
    values = np.random.default_rng(0).standard_normal(400)
    result = estimate(values.tolist())
    half = 1.96 * values.std(ddof=1) / math.sqrt(400)
    assert result.mean == pytest.approx(values.mean())
    assert result.low == pytest.approx(values.mean() - half, abs=0.02)
    assert result.high == pytest.approx(values.mean() + half, abs=0.02)


def test_undefined_values_are_counted_and_left_out() -> None:
    result = estimate([1.0, math.nan, 3.0])
    assert (result.mean, result.n, result.undefined) == (2.0, 2, 1)


@pytest.mark.parametrize(("values", "mean"), [([], math.nan), ([math.nan], math.nan), ([2.0], 2.0)])
def test_too_few_values_have_no_interval(values: list[float], mean: float) -> None:
    result = estimate(values)
    assert result.mean == mean or math.isnan(mean)
    assert math.isnan(result.low)
    assert math.isnan(result.high)


def test_equal_values_have_a_point() -> None:
    result = estimate([0.5] * 10)
    assert (result.low, result.high) == (0.5, 0.5)
    inexact = estimate([0.1] * 10)  # whose sum is not 1
    assert (inexact.low, inexact.high) == (0.1, 0.1)


def test_intervals_hold_95_percent_of_2000_resamples() -> None:
    values = np.random.default_rng(2).standard_normal((2, 30)).tolist()
    chosen = {"level": 0.95, "resamples": 2000, "seed": 0}
    assert estimate(values[0]) == estimate(values[0], **chosen)
    assert paired(*values, better="lower") == paired(*values, better="lower", **chosen)
    assert estimate(values[0]) != estimate(values[0], **chosen | {"resamples": 1999})


def test_more_values_than_are_resampled_at_once_have_an_interval() -> None:
    result = estimate([0.0, 1.0] * 500_001, resamples=2)
    assert result.low == pytest.approx(0.5, abs=0.01)
    assert result.low <= result.high == pytest.approx(0.5, abs=0.01)


def test_the_slightest_gap_wins() -> None:
    first, second = [0.5, 0.25, 0.75, 0.5], [0.25, 0.125, 0.875, 0.5]
    assert paired(first, second, better="higher").wins == (1 + 1 + 0 + 0.5) / 4
    assert paired(first, second, better="lower").wins == (0 + 0 + 1 + 0.5) / 4


def test_a_paired_comparison_is_scipys() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(0.2, 1, 60), rng.normal(0, 1, 60)
    result = paired(first.tolist(), second.tolist(), better="lower", seed=3)
    assert result.mean == pytest.approx((first - second).mean())
    assert result.p == pytest.approx(stats.wilcoxon(first, second).pvalue)
    assert result.p != pytest.approx(stats.mannwhitneyu(first, second).pvalue)
    assert result.wins == (first < second).mean()
    interval = stats.bootstrap(
        (first, second),
        lambda a, b, axis: (a - b).mean(axis=axis),
        paired=True,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(9),
    ).confidence_interval
    assert result.low == pytest.approx(interval.low, abs=0.02)
    assert result.high == pytest.approx(interval.high, abs=0.02)


def test_undefined_pairs_are_left_out_and_counted() -> None:
    nan = math.nan
    result = paired([1, nan, 3, 4, 5], [1, 1, nan, 2, 7], better="higher")
    assert (result.n, result.undefined, result.mean, result.wins) == (3, 2, 0.0, 0.5)
    nothing = paired([nan], [1.0], better="lower")
    assert (nothing.n, nothing.undefined) == (0, 1)
    assert all(map(math.isnan, (nothing.mean, nothing.low, nothing.wins, nothing.p)))


def test_no_difference_at_all_is_no_evidence() -> None:
    result = paired([1.0, 2.0], [1.0, 2.0], better="lower")
    assert (result.mean, result.low, result.high, result.wins, result.p) == (0, 0, 0, 0.5, 1)


def test_only_scores_of_the_same_photos_can_be_paired() -> None:
    with pytest.raises(ValueError, match="2 scores cannot be paired with 1"):
        paired([1.0, 2.0], [1.0], better="lower")


@given(PAIRS)
def test_who_is_first_changes_the_sign_alone(pairs: list[tuple[float, float]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    one = paired(first, second, better="lower", resamples=200)
    other = paired(second, first, better="lower", resamples=200)
    flipped = [-other.mean, -other.high, -other.low, 1 - other.wins, other.p]
    found = [one.mean, one.low, one.high, one.wins, one.p]
    assert found == pytest.approx(flipped, abs=1e-9, nan_ok=True)
    assert (one.n, one.undefined) == (other.n, other.undefined)
    assert one.n + one.undefined == len(pairs)
    higher = paired(second, first, better="higher", resamples=200)
    assert higher.wins == pytest.approx(one.wins, nan_ok=True)


@given(PAIRS, st.integers(-3, 3))
def test_what_both_gain_changes_nothing(pairs: list[tuple[float, float]], gain: int) -> None:
    first, second = np.array([a for a, _ in pairs]), np.array([b for _, b in pairs])
    assume(len(pairs) > 0)
    before = paired(first.tolist(), second.tolist(), better="lower", resamples=200)
    after = paired((first + gain).tolist(), (second + gain).tolist(), better="lower", resamples=200)
    assert after.mean == pytest.approx(before.mean, abs=1e-9, nan_ok=True)
    assert after.n == before.n


@pytest.mark.parametrize(
    ("p_values", "corrected"),
    [
        ([], []),
        ([0.04], [0.04]),
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # times 3, 1, 2, 4; never falling
        ([0.5, 0.6], [1.0, 1.0]),
        ([0.01, math.nan, 0.02], [0.02, math.nan, 0.02]),
    ],
)
def test_holms_correction(p_values: list[float], corrected: list[float]) -> None:
    assert holm(p_values) == pytest.approx(corrected, nan_ok=True)


@given(P_VALUES)
def test_holm_lies_between_no_correction_and_bonferronis(p_values: list[float]) -> None:
    count = sum(not math.isnan(p) for p in p_values)
    for p, corrected in zip(p_values, holm(p_values), strict=True):
        assert math.isnan(corrected) == math.isnan(p)
        assert math.isnan(p) or p <= corrected <= min(1, count * p) + 1e-12


@pytest.mark.parametrize(("effect", "known"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_the_photos_needed_are_those_of_the_tables_of_the_t_test(effect: float, known: int) -> None:
    """Cohen's tables of the paired t-test, two-sided, 5 % and a power of 80 %."""
    gaps = [effect - 1, effect + 1] * 5000  # of deviation 1
    assert photos_needed(gaps) == pytest.approx(known / 0.955, abs=1.5)
    assert photos_needed([-gap for gap in gaps]) == photos_needed(gaps)


def test_photos_needed_of_nothing() -> None:
    assert photos_needed([1.0, -1.0]) == math.inf
    assert math.isnan(photos_needed([1.0, math.nan]))
