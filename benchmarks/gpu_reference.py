"""What small, fixed pieces of the work give on a CPU with 32 bits, in a file that comes along."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.gpu_jobs import Array, Job

FILE = Path(__file__).with_suffix(".npz")
WEIGHTS = "weights"  # of the classifier: other ones have no reference
LARGEST_DIFFERENCE = 1e-4
FEWEST = 3  # numbers that a rank correlation says anything about


@dataclass(frozen=True)
class Agreement:
    """How near results are to those of the reference.

    Attributes
    ----------
    difference
        The largest.
    spearman
        Least rank correlation of what the job's studies give; None where all numbers are equal.
    """

    difference: float
    spearman: float | None


def write(jobs: Iterable[Job], file: Path) -> None:
    """Write the answers of jobs, which are of one classifier."""
    answers: dict[str, Array] = {}
    for job in jobs:
        answers |= job.answers
        weights = np.array(job.first.classifier.fingerprint)
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(file, **{WEIGHTS: weights}, **answers)


def read(file: Path, fingerprint: str | None) -> dict[str, Array]:
    """Return the reference's answers; empty if there are none for a classifier's weights."""
    if not file.is_file():
        return {}
    with np.load(file, allow_pickle=False) as stored:
        if str(stored[WEIGHTS]) != str(fingerprint):
            return {}
        return {name: stored[name] for name in stored if name != WEIGHTS}


def compare(job: Job, reference: Mapping[str, Array]) -> Agreement | None:
    """Do a job's small, fixed piece, and compare; None if the reference lacks it."""
    if any(f"{job.kind} {name}" not in reference for name in job.studies):
        return None
    pairs = [(found, reference[name]) for name, found in job.answers.items()]
    correlations = [rho for pair in pairs if (rho := spearman(*pair)) is not None]
    return Agreement(
        difference=max(difference(*pair) for pair in pairs),
        spearman=min(correlations, default=None),
    )


def difference(one: Array, other: Array) -> float:
    """Return the largest difference of two arrays; infinity where one has what the other lacks."""
    if one.shape != other.shape or (np.isnan(one) != np.isnan(other)).any():
        return float("inf")
    return float(np.nan_to_num(np.abs(one - other)).max(initial=0.0))


def spearman(one: Array, other: Array) -> float | None:
    """Return the rank correlation; None where it is undefined."""
    from scipy.stats import spearmanr

    if one.shape != other.shape or len(one) < FEWEST:
        return None
    if not all(np.isfinite(numbers).all() and np.ptp(numbers) > 0 for numbers in (one, other)):
        return None
    return float(spearmanr(one, other).statistic)


def disagrees(job: Job, agreement: Agreement) -> bool:
    """Whether results of 32 bits are too far off; methods with a gradient amplify rounding."""
    return not job.has_gradient and agreement.difference > LARGEST_DIFFERENCE
