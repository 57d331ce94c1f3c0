"""The components of one run, and what they are called."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig

from genattr.analysis.sensitivity import Sensitivity
from genattr.engine.choose import Engine
from genattr.results.examples import Gallery
from genattr.results.summary import Row
from genattr.store.heatmaps import HeatmapStore
from genattr.tracking.base import NoTracking
from genattr.tracking.mlflow import MlflowTracking
from genattr.types import Classifier, Dataset, Filler, Method, Metric


@dataclass(frozen=True)
class Study:
    """The components of one run, checked against each other.

    Attributes
    ----------
    variant
        What is changed against the run that this is a variant of, such as "seed 1".
    """

    cfg: DictConfig
    dataset: Dataset
    classifier: Classifier
    filler: Filler
    method: Method
    metrics: Mapping[str, Metric]
    tracking: MlflowTracking | NoTracking
    store: HeatmapStore
    engine: Engine
    device: torch.device
    variant: str = ""

    @property
    def title(self) -> str:
        """Say what runs: "SP-G · mirror · efficientnet_lite0"."""
        names = map(name_of, (self.method, self.filler, self.classifier))
        return " · ".join(filter(None, (*names, self.variant)))

    @property
    def settings(self) -> str:
        """Say the method's parameters that are numbers: "patch_size 29 · stride 3"."""
        return " · ".join(f"{key} {value}" for key, value in plain_numbers(self.method).items())

    @property
    def cost(self) -> int:
        """Bound the images that the classifier scores for one heatmap and its metrics."""
        size = self.classifier.input_size
        scoring = sum(metric.calls(size) for metric in self.metrics.values())
        return self.method.calls(size) + scoring

    @property
    def params(self) -> dict[str, str]:
        """The few choices that a tracking store lists; the rest is in config.yaml."""
        named = ("method", "filler", "classifier", "dataset")
        chosen = {key: name_of(getattr(self, key)) for key in named}
        chosen |= {"target": self.cfg.target, "seed": str(self.cfg.seed)}
        return chosen | {k: str(v) for k, v in plain_numbers(self.method).items()}


class Entry(NamedTuple):
    """One heatmap of a run: its place among the others, its key in the store, its scores."""

    place: tuple[int, int]
    key: str
    row: Row


@dataclass
class Journal:
    """What a run has so far.

    Attributes
    ----------
    entries
        One a heatmap, in the photos' order.
    failed
        One line for each photo that could not be read.
    gallery
        The first photos.
    n_scored
        Images that the classifier scored, metrics included.
    sensitivity
        How alike the heatmaps under the values of ``sensitivity.over`` are, if one is given.
    varied
        By these values, the heatmaps' keys in the store, in the photos' order.
    """

    entries: list[Entry] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    gallery: Gallery = field(default_factory=Gallery)
    n_scored: int = 0
    sensitivity: Sensitivity | None = None
    varied: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def add(self, place: tuple[int, int], key: str, row: Row) -> None:
        """Note a heatmap's scores at its place, whenever they come."""
        insort(self.entries, Entry(place, key, row), key=lambda entry: entry.place)

    @property
    def rows(self) -> list[Row]:
        """One a heatmap: the photo, the target, and every metric's numbers."""
        return [entry.row for entry in self.entries]

    @property
    def keys(self) -> list[str]:
        """The heatmaps' keys in the store, in the same order."""
        return [entry.key for entry in self.entries]


def name_of(component: object) -> str:
    """Return a component's title, or the name of its file."""
    return str(getattr(component, "title", type(component).__module__.rpartition(".")[2]))


def plain_numbers(component: Any) -> dict[str, float]:
    """Return a component's parameters that are numbers, but for those that it calls idle."""
    idle = getattr(component, "idle", ())
    names = (entry.name for entry in fields(component) if entry.name not in idle)
    values = {name: getattr(component, name) for name in names}
    return {key: value for key, value in values.items() if type(value) in (int, float)}
