"""Bootstrap intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from genattr.analysis.statistics import estimate


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
