"""Means with bootstrap intervals, and settings compared with each other photo by photo."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Direction = Literal["lower", "higher"]
WILCOXON = 0.955  # asymptotic relative efficiency of the signed-rank test


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


@dataclass(frozen=True)
class Difference:
    """How the scores of one setting differ from those of another on the same photos.

    Attributes
    ----------
    mean, low, high
        Mean of first minus second over the photos, with its interval; NaN where there are too few.
    wins
        Share of the photos on which the first is better; a tie counts half.
    p
        Of Wilcoxon's signed-rank test, two-sided; 1 where no photo differs.
    n, undefined
        Count of the pairs, and of those left out because a side is NaN.
    needed
        Photos that would find such a difference four times in five; see ``photos_needed``.
    """

    mean: float
    low: float
    high: float
    wins: float
    p: float
    n: int
    undefined: int
    needed: float


def paired(
    first: Sequence[float],
    second: Sequence[float],
    *,
    better: Direction,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Difference:
    """Compare two settings photo by photo.

    Parameters
    ----------
    first, second
        One score per photo, in the same order of photos; NaN = undefined.
    better
        Which scores win.
    level
        Confidence of the interval, a percentile bootstrap over the pairs.

    Raises
    ------
    ValueError
        If one has more photos than the other.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} scores cannot be paired with {len(second)}")
    gaps = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    mean = estimate(gaps.tolist(), level=level, resamples=resamples, seed=seed)
    defined = gaps[~np.isnan(gaps)]
    wins, p = _wins(defined, better), _wilcoxon(defined)
    needed = photos_needed(defined.tolist())
    return Difference(mean.mean, mean.low, mean.high, wins, p, mean.n, mean.undefined, needed)


def photos_needed(gaps: Sequence[float], *, power: float = 0.8, level: float = 0.05) -> float:
    """Return how many photos a paired comparison needs, if others differ as these do.

    Parameters
    ----------
    gaps
        First minus second, one per photo; NaN = undefined.
    power
        Chance of finding the difference.
    level
        Of the two-sided test. Wilcoxon's is taken to need 1 / 0.955 times the photos of the t-test,
        its efficiency where differences are normal.

    Returns
    -------
    A whole number; infinity where the mean is 0, NaN where there are too few values.
    """
    defined = np.asarray(gaps, dtype=float)
    defined = defined[~np.isnan(defined)]
    if len(defined) < 2:
        return math.nan
    mean, deviation = abs(float(defined.mean())), float(defined.std(ddof=1))
    if mean == 0:
        return math.inf
    from scipy.stats import norm

    beyond = float(norm.ppf(1 - level / 2))
    of_t_test = ((beyond + float(norm.ppf(power))) * deviation / mean) ** 2 + beyond**2 / 2
    return float(math.ceil(of_t_test / WILCOXON))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct the p values of several comparisons by Holm's step-down procedure.

    Parameters
    ----------
    p_values
        NaN = undefined; such a comparison does not count and stays NaN.
    """
    values = np.asarray(p_values, dtype=float)
    order = np.argsort(values)[: int((~np.isnan(values)).sum())]
    factors = np.arange(len(order), 0, -1)
    corrected = np.full(len(values), np.nan)
    corrected[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1)
    return [float(p) for p in corrected]


def estimate(
    values: Sequence[float], *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Estimate:
    """Average the defined values, with a percentile bootstrap interval.

    Parameters
    ----------
    values
        One per photo; NaN = undefined.
    level
        Confidence of the interval.
    """
    array = np.asarray(values, dtype=float)
    defined = array[~np.isnan(array)]
    n, undefined = len(defined), len(array) - len(defined)
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
    from scipy.stats import bootstrap

    result = bootstrap(
        (values,),
        np.mean,
        confidence_level=level,
        n_resamples=resamples,
        method="percentile",
        batch=max(1, 1_000_000 // len(values)),
        rng=np.random.default_rng(seed),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def _wins(gaps: Array, better: Direction) -> float:
    if len(gaps) == 0:
        return math.nan
    won = (gaps < 0) if better == "lower" else (gaps > 0)
    return float((won + 0.5 * (gaps == 0)).mean())


def _wilcoxon(gaps: Array) -> float:
    if len(gaps) == 0:
        return math.nan
    if not gaps.any():
        return 1.0
    from scipy.stats import wilcoxon

    return float(wilcoxon(gaps).pvalue)
