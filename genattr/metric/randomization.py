"""Sanity check by random weights: Adebayo et al. (2018), which the paper cites."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, ClassVar, Literal

import torch

from genattr.analysis.similarity import rank_correlation, scaled, ssim
from genattr.classifier.redraw import redrawn, spread, weighted_layers
from genattr.classifier.trial import trial_images
from genattr.errors import require
from genattr.method.base import Method
from genattr.metric.base import Direction, Metric, Rows
from genattr.parameters import Count, Seed
from genattr.probe import Probe
from genattr.protocols import Classifier
from genattr.types import Heatmap

log = logging.getLogger(__name__)

MEASURES = ("spearman", "spearman_absolute", "ssim")


@dataclass(frozen=True)
class Randomization(Metric):
    """How alike a heatmap stays when the network's layers get random weights.

    The run's method explains the photo again, for the same class, with a copy of the network; the
    network itself stays as it is. A method that explains the network gives another map. Undefined
    where a map is constant.

    Parameters
    ----------
    order
        ``cascading``: all layers from the output down to the one of a step; ``independent``: that
        one alone.
    steps
        Layers at which it explains again, evenly from the output to the input; fewer if the
        network has fewer.
    seed
        Of the random weights, which are the same for all photos.
    """

    order: Literal["cascading", "independent"]
    steps: Count
    seed: Seed

    direction: ClassVar[Direction] = "lower"

    @property
    def explanations(self) -> int:
        return self.steps

    def check(self, classifier: Classifier, device: torch.device) -> None:
        """Refuse a classifier whose network cannot be given other weights."""
        require(
            classifier.network is not None,
            f"metric randomization needs a PyTorch network, and classifier {classifier.title} has "
            "none to give",
        )
        layers = layers_of(classifier)
        require(
            bool(layers), f"metric randomization finds no weights in classifier {classifier.title}"
        )
        _tell_layers(classifier.title, layers[0], layers[-1], len(layers))
        twin = self._twin(classifier, layers[-1:])
        require(
            twin is not classifier,
            f"metric randomization: classifier {classifier.title} cannot be given another network",
        )

    def scores(self, heatmap: Heatmap, probe: Probe, method: Method) -> dict[str, Any]:
        """Return each measure's mean and ``_curve`` over the layers, from the output on.

        ``depth`` is the share of the layers, from the output on, at each of them.
        """
        layers = layers_of(probe.classifier)
        depths = spread(layers, self.steps)
        maps = [
            method.explain(
                probe.of_classifier(self._twin(probe.classifier, self._drawn(layers, at)))
            )
            for at in depths
        ]
        curves = [alike(heatmap, other, probe.size) for other in maps]
        row: dict[str, Any] = {"depth": [at / len(layers) for at in depths]}
        for name, curve in zip(MEASURES, zip(*curves, strict=True), strict=True):
            row |= {name: _mean(curve), f"{name}_curve": [_or_none(value) for value in curve]}
        return row

    def _drawn(self, layers: Sequence[str], at: int) -> Sequence[str]:
        """Return the layers that are random at a step: the last ``at``, or that one alone."""
        place = len(layers) - at
        return layers[place:] if self.order == "cascading" else layers[place : place + 1]

    def _twin(self, classifier: Classifier, names: Sequence[str]) -> Classifier:
        return classifier.with_network(partial(redrawn, names=names, seed=self.seed))

    def aggregate(self, rows: Rows, held_out_rows: Rows) -> dict[str, float | Sequence[float]]:
        return {
            name: [math.nan if row[name] is None else row[name] for row in rows]
            for name in MEASURES
        }


def alike(heatmap: Heatmap, other: Heatmap, size: int) -> tuple[float, float, float]:
    """Compare two maps at size x size: Spearman signed and absolute, and SSIM; NaN: constant."""
    first, second = scaled(heatmap, size), scaled(other, size)
    if first.is_constant or second.is_constant:
        return math.nan, math.nan, math.nan
    absolute = (replace(view, pixels=abs(view.pixels)) for view in (first, second))
    return rank_correlation(first, second), rank_correlation(*absolute), ssim(first, second)


def layers_of(classifier: Classifier) -> Sequence[str]:
    """Return the layers of the classifier's network that have weights, as they run."""
    network = classifier.network
    assert network is not None, "check refuses a classifier without"
    weights = next(network.parameters(), torch.zeros(0))
    images = trial_images(classifier.input_size)[:1].to(weights.device)
    return weighted_layers(network, partial(classifier.of_network, images))


@cache  # tells it once
def _tell_layers(title: str, first: str, last: str, count: int) -> None:
    log.info("randomization: %d layers of %s, %s to %s", count, title, last, first)


def _mean(values: Sequence[float]) -> float | None:
    """Return the mean of the defined values; None if there is none."""
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else None


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
