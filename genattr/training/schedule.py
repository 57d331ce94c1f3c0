"""What a step is like: crop size, learning rate, how much the discriminator counts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from genattr.training.settings import Settings

USUAL = 128  # pixels of the crops that ``batch`` counts
HEAD_START = 0.03  # share of the steps that the discriminator learns before it counts


@dataclass(frozen=True)
class Plan:
    """One step.

    Attributes
    ----------
    side
        Of the crops, in pixels.
    count
        Crops in each process.
    lr
        Learning rate.
    judging
        Whether the discriminator learns.
    adversarial
        Its gradient's size relative to that of L1; 0: it does not count yet.
    """

    side: int
    count: int
    lr: float
    judging: bool
    adversarial: float


def plan(step: int, settings: Settings, processes: int) -> Plan:
    """Return what a step, from 0 on, is like."""
    done = step / settings.steps
    stage = next(stage for stage in settings.stages if done < stage.until)
    side = stage.sizes[step % len(stage.sizes)]
    crops = settings.batch * (USUAL / side) ** 2
    used = settings.adversarial > 0
    return Plan(
        side=side,
        count=max(1, round(crops / processes)),
        lr=settings.lr * _warmed(step, settings.warmup) * (0.5 + 0.5 * math.cos(math.pi * done)),
        judging=used and done >= settings.gan_from - HEAD_START,
        adversarial=settings.adversarial * _ramp(done, settings.gan_from, settings.gan_full),
    )


def _warmed(step: int, warmup: int) -> float:
    return min(1.0, (step + 1) / warmup) if warmup else 1.0


def _ramp(done: float, begin: float, end: float) -> float:
    """Rise from 0 to 1 between two shares of the steps."""
    if done >= end:
        return 1.0
    return max(done - begin, 0.0) / (end - begin)


def decay(step: int, ema: float) -> float:
    """Return how much of the running mean stays in a step: little at first."""
    return min(ema, (1 + step) / (10 + step))
