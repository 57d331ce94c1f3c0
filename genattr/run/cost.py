"""Estimate of a run's cost, printed before it starts."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from genattr import console
from genattr.run.study import Study
from genattr.run.variants import variants
from genattr.types import Sample

MIN_ANNOUNCED = 2000  # images scored
GRADIENT_ROWS = 8  # of the batch that is timed with its gradient


def announce(study: Study, heatmaps: int) -> None:
    """Print how many images a run scores at most and about how long that takes, if it is long."""
    images = study.rows(heatmaps)
    if images < MIN_ANNOUNCED:
        return
    duration = human(study.rows(study.share(heatmaps)) * seconds_per_image(study))
    console.say(
        f"{study.name}: up to {study.cost:,} images a heatmap, {heatmaps:,} heatmaps: "
        f"at most about {duration}"
    )


class Total:
    """Total cost of the members of a sweep."""

    def __init__(self) -> None:
        self.heatmaps = 0
        self.images = 0
        self.seconds = 0.0
        self._timed: dict[str, float] = {}

    def add(self, study: Study, heatmaps: int) -> None:
        """Add a member; the same components are timed once."""
        for variant in (study, *variants(study).values()):
            key = f"{study.cfg.classifier} {study.cfg.filler} {study.method.needs_gradient}"
            if key not in self._timed:
                self._timed[key] = seconds_per_image(variant)
            self.heatmaps += heatmaps
            self.images += variant.cost * heatmaps
            self.seconds += variant.rows(variant.share(heatmaps)) * self._timed[key]

    def announce(self, members: int) -> None:
        """Print the total; members that finished before are not counted."""
        console.say(
            f"Sweep of {members} members: up to {self.heatmaps:,} heatmaps and {self.images:,} "
            f"images scored: at most about {human(self.seconds)} one after the other; what the "
            "store has costs nothing"
        )


def seconds_per_image(study: Study) -> float:
    """Time the classifier on one batch, with the gradient where the method needs it, and a fill."""
    size = study.classifier.input_size
    image = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    image = image.to(study.device)
    if study.method.needs_gradient:
        scoring = _timed(lambda: _gradient(study, image), study.device) / GRADIENT_ROWS
    else:
        batch = image.expand(study.cfg.batch_size, -1, -1, -1)
        scoring = _timed(lambda: _score(study, batch), study.device) / len(batch)
    return scoring + (_seconds_of_a_fill(study, image) if study.filler.reads_hole else 0)


def _gradient(study: Study, image: Tensor) -> None:
    batch = image.repeat(GRADIENT_ROWS, 1, 1, 1).requires_grad_()
    study.classifier(batch).sum().backward()


@torch.no_grad()
def _score(study: Study, batch: Tensor) -> None:
    study.classifier(batch)


def _seconds_of_a_fill(study: Study, image: Tensor) -> float:
    """Time the fill of a hole of a quarter of the photo."""
    size = image.shape[-1]
    hole = torch.zeros(1, 1, size, size, dtype=torch.bool, device=image.device)
    hole[..., size // 4 : -(size // 4), size // 4 : -(size // 4)] = True
    filler = study.filler.for_sample(Sample(image[0].cpu(), None, "noise", None, (size, size)))
    return _timed(lambda: filler.fill(image, hole, [0]), study.device)


def _timed(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of the faster of two runs on a device: the first may have to warm up."""
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def human(seconds: float) -> str:
    """Format a duration with about two digits: "40 s", "12 min", "3.5 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
