"""Means with bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval.

    Attributes
    ----------
    mean, low, high
        NaN where there are too few values.
    n
        Count of defined values.
    undefined
        Count of values that were NaN and left out.
    """

    mean: float
    low: float
    high: float
    n: int
    undefined: int


def estimate(
    values: Sequence[float], *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Estimate:
    """Average the defined values, with a percentile bootstrap interval.

    Parameters
    ----------
    values
        One a photo; NaN = undefined.
    level
        Confidence of the interval.
    """
    given = np.asarray(values, dtype=float)
    defined = given[~np.isnan(given)]
    n, undefined = len(defined), len(given) - len(defined)
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, n, undefined)
    mean = float(defined.mean())
    low, high = _interval(defined, level, resamples, seed)
    return Estimate(mean, low, high, n, undefined)


def _interval(values: np.ndarray, level: float, resamples: int, seed: int) -> tuple[float, float]:
    if len(values) == 1:
        return math.nan, math.nan
    if (values == values[0]).all():
        return float(values[0]), float(values[0])
    result = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=level,
        n_resamples=resamples,
        method="percentile",
        batch=max(1, 1_000_000 // len(values)),
        rng=np.random.default_rng(seed),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)
