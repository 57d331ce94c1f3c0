"""The components of one run, checked against each other, and their titles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Generic, TypeVar

import torch
from omegaconf import DictConfig

from genattr.classifier.matching import named
from genattr.classifier.relabeled import Relabeled, index_of
from genattr.components import plain_numbers
from genattr.config import Target, target
from genattr.engine.choose import Engine
from genattr.errors import UserError
from genattr.memory import Room
from genattr.method.base import Method
from genattr.metric.base import Metric
from genattr.protocols import Classifier, Component, Dataset, Filler
from genattr.results.summary import Part
from genattr.store.heatmaps import HeatmapStore
from genattr.store.scores import NoScores, ScoreStore
from genattr.tracking.base import Tracking

T = TypeVar("T", bound=Component)


@dataclass(frozen=True)
class Study:
    """The components of one run, checked against each other.

    Attributes
    ----------
    device
        Where this process computes.
    devices
        Those that share the photos, a process each; one: this process explains all.
    variant
        The changed setting if this is a variant of another run, such as "seed 1".
    in_sweep
        Its name among the members of its sweep, such as "SP · patch_size 5"; empty: no member.
    halved
        What was halved in this process because memory did not suffice; see ``Room``.
    """

    cfg: DictConfig
    dataset: Dataset
    classifier: Classifier
    filler: Filler
    method: Method
    metrics: Mapping[str, Metric]
    tracking: Tracking
    store: HeatmapStore
    engine: Engine
    device: torch.device
    devices: Sequence[torch.device]
    variant: str = ""
    in_sweep: str = ""
    halved: dict[str, int] = field(default_factory=dict)

    @property
    def room(self) -> Room:
        """How many images are filled or scored at a time."""
        return Room("batch_size", self.cfg.batch_size, self.halved)

    @cached_property
    def target(self) -> Target:
        """The classes to explain."""
        return target(self.cfg.target)

    @cached_property
    def target_classes(self) -> Sequence[int]:
        """Classes to explain that are the same for every photo; UserError for an unknown one."""
        try:
            return [named(name, self.classifier.labels) for name in self.target.classes]
        except UserError as error:
            raise UserError(f"target=[{','.join(self.target.classes)}]: {error}") from error

    @cached_property
    def photos(self) -> Dataset:
        """The dataset, with the classifier's indices as labels."""
        known = index_of(self.dataset, self.classifier)
        return self.dataset if known is None else Relabeled(self.dataset, known)

    @property
    def scores(self) -> ScoreStore:
        """The scores of stored heatmaps; they are kept where heatmaps are."""
        return ScoreStore(self.store.root) if self.store.keeps else NoScores()

    @property
    def title(self) -> str:
        """Names of method, filler and classifier: "SP-G · mirror · efficientnet_lite0"."""
        return " · ".join(filter(None, (*self.titles.values(), self.variant)))

    @property
    def titles(self) -> dict[str, str]:
        """Titles of method, filler and classifier."""
        parts = {"method": self.method, "filler": self.filler, "classifier": self.classifier}
        return {key: part.title for key, part in parts.items()}

    @property
    def name(self) -> str:
        """Its name in its sweep, or else its title."""
        if not self.in_sweep:
            return self.title
        return " · ".join(filter(None, (self.in_sweep, self.variant)))

    @property
    def settings(self) -> str:
        """The method's parameters that are numbers: "patch_size 29 · stride 3"."""
        return " · ".join(f"{key} {value}" for key, value in plain_numbers(self.method).items())

    @property
    def cost(self) -> int:
        """Upper bound of the images that the classifier scores for a heatmap and its metrics."""
        return self.explaining + self.scoring

    def rows(self, heatmaps: int) -> int:
        """Bound the images, padding included, that go through the network for so many heatmaps."""
        return self.method.rows(self.classifier.input_size, heatmaps) + self.scoring * heatmaps

    def share(self, heatmaps: int) -> int:
        """Bound the heatmaps of one GPU, of so many; processes on a CPU share its cores."""
        gpus = len(self.devices) if self.device.type == "cuda" else 1
        return -(-heatmaps // gpus)

    @property
    def explaining(self) -> int:
        """Upper bound of the images that one explanation needs."""
        return self.method.calls(self.classifier.input_size)

    @property
    def scoring(self) -> int:
        """Upper bound of the images that the metrics of one heatmap need."""
        return sum(self.calls(metric) for metric in self.metrics.values())

    @property
    def filled_for_scores(self) -> int:
        """Upper bound of those images of the metrics of one heatmap that an inpainter fills."""
        inpaints = {key: part.inpaints for key, part in self.parts.items()}
        return sum(
            self.calls(metric)
            for name, metric in self.metrics.items()
            if inpaints.get(f"metric.{name}.filler", self.filler.inpaints)
        )

    def calls(self, metric: Metric) -> int:
        """Upper bound of the images that one metric of one heatmap needs."""
        again = metric.explanations * self.explaining
        return again + metric.calls(self.classifier.input_size)

    @property
    def params(self) -> dict[str, str]:
        """The few choices that a tracking store lists; the rest is in config.yaml."""
        named = ("method", "filler", "classifier", "dataset")
        parts = self.parts
        chosen = {key: parts[key].title for key in named}
        chosen |= {"target": str(self.cfg.target), "seed": str(self.cfg.seed)}
        return chosen | {k: str(v) for k, v in plain_numbers(self.method).items()}

    @property
    def components(self) -> dict[str, Component]:
        """The run's components by their keys, those inside others included."""
        chosen: dict[str, Component] = {
            "dataset": self.dataset,
            "classifier": self.classifier,
            "filler": self.filler,
            "method": self.method,
        }
        chosen |= {f"metric.{name}": metric for name, metric in self.metrics.items()}
        return {
            key: part
            for name, component in chosen.items()
            for key, part in _nested(name, component)
        }

    @property
    def parts(self) -> dict[str, Part]:
        """What finished runs tell of the components, by their keys."""
        return {
            key: Part(part.option, part.title, part.inpaints if isinstance(part, Filler) else None)
            for key, part in self.components.items()
        }


@dataclass(frozen=True)
class Built:
    """Components of a run that are there already; None: as the configuration says."""

    dataset: Dataset | None = None
    classifier: Classifier | None = None
    filler: Filler | None = None
    method: Method | None = None
    store: HeatmapStore | None = None


class Same(Generic[T]):
    """A component that is equal to itself alone, for caches."""

    def __init__(self, part: T) -> None:
        self.part = part

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.part is self.part

    def __hash__(self) -> int:
        return id(self.part)


@dataclass(frozen=True)
class Place:
    """A run's place in a sweep; by default it is not part of one.

    Attributes
    ----------
    tags
        Labels for the tracking store, such as the sweep that the run belongs to.
    numbers
        Further numbers for the record, such as the swept values.
    swept
        Its values of the keys that vary, as they were typed.
    in_sweep
        The run's name among the others, for people: "SP · seed 1".
    choices
        The settings that set the run apart from the others and that no title has: "seed 1".
    command
        The shell's command that makes the run; empty: unknown.
    comparable
        Keys that the options of the group ``sensitivity`` compare heatmaps over.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    swept: Mapping[str, str] = field(default_factory=dict)
    in_sweep: str = ""
    choices: str = ""
    command: str = ""
    comparable: tuple[str, ...] = ()

    @property
    def is_member(self) -> bool:
        """Whether it is part of a sweep, which has begun."""
        return self.tags.get("kind") == "member"


def _nested(key: str, component: Component) -> Iterator[tuple[str, Component]]:
    """Yield a component and those that are its parameters, with their keys."""
    yield key, component
    for entry in fields(component):  # type: ignore[arg-type]
        value = getattr(component, entry.name)
        if isinstance(value, Component):
            yield from _nested(f"{key}.{entry.name}", value)
