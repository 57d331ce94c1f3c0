"""When two ways of computing the same logits agree."""

from __future__ import annotations

import logging
from collections.abc import Callable

from torch import Tensor

log = logging.getLogger(__name__)

TOLERANCE = 1e-5  # of a probability
LEAST_EFFECT = 1e-2  # differences must be below this share of how unlike the images are


def disagreement(
    expected: Tensor, found: Tensor, base: Tensor, probabilities: Callable[[Tensor], Tensor]
) -> str:
    """Say how two ways differ; empty if they agree.

    Parameters
    ----------
    expected, found
        (N, K) logits of the same images.
    base
        (1, K) logits of an image that they are compared with.
    probabilities
        Of logits.
    """
    effect = (expected - base).abs().max()
    error = (expected - found).abs().max()
    p_error = (probabilities(expected) - probabilities(found)).abs().max()
    log.debug("they differ by %.1e of a probability, %.1e of a logit", p_error, error)
    if not (p_error < TOLERANCE and error <= LEAST_EFFECT * effect):
        return f"its probabilities differ from the dense path by {p_error:.1e}"
    return ""
