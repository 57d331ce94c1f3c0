"""What a page about one decision tells of the run: its settings, how it works, and its limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from genattr import environment
from genattr.components import identity
from genattr.method.base import Method
from genattr.plot.parts import Colors
from genattr.protocols import Classifier, Component, Filler

NOT_PARAMETERS = ("class", "weights")  # in an identity


@dataclass(frozen=True)
class Facts:
    """What holds for all heatmaps of a run.

    Attributes
    ----------
    method, filler, classifier
        As the run has them.
    seed
        Of every random draw.
    explain
        The quantity that is explained: ``probability``, ``logit`` or ``log_odds``.
    device
        Where it was computed.
    command
        What makes the heatmap again: a command line, or a Python call.
    colors
        Of the heatmaps.
    checked
        What was found about the heatmaps under other settings, such as other seeds; empty: nothing.
    """

    method: Method
    filler: Filler
    classifier: Classifier
    seed: int
    explain: str
    device: torch.device
    command: str
    colors: Colors = "diverging"
    checked: str = ""

    @property
    def quantity(self) -> str:
        """The explained quantity, for people."""
        return self.explain.replace("_", "-")

    @property
    def unit(self) -> str:
        """What a value of the heatmap is."""
        return self.method.unit(self.quantity)

    @property
    def settings(self) -> Mapping[str, str]:
        """Names of settings and their values, for people."""
        told = {
            "Method": _described(self.method),
            "Filler": _described(self.filler),
            "Classifier": f"{self.classifier.title}: {self.classifier.reading}",
            "Reading of photos": _parameters(self.classifier),
            "Weights of the classifier": self.classifier.fingerprint or "not known",
            "Weights of the filler": self.filler.fingerprint or "none",
            "Explained": self.quantity,
            "Seed": str(self.seed),
        }
        return told | {"Versions": _joined(environment.describe(self.device))}

    @property
    def limits(self) -> Sequence[str]:
        """What a reader must know before relying on a heatmap of the run."""
        return [*_of_any_heatmap(), _of_filler(self.filler), self._of_seeds(), *self._terms()]

    def _of_seeds(self) -> str:
        if self.checked:
            return self.checked
        return (
            "This is one heatmap, by one method with one setting and one seed. Whether another "
            "seed, setting, method or filler gives the same was not checked here."
        )

    def _terms(self) -> Iterator[str]:
        """Yield a sentence for each part that has weights under a license."""
        for part in (self.classifier, self.filler, self.method):
            if part.terms:
                yield f"License of the weights of {part.title}: {part.terms}."


def _of_any_heatmap() -> Sequence[str]:
    return (
        "A heatmap shows what this classifier's answer to this one photo (n = 1) depends on, by "
        "this method. It says nothing about whether the answer is right, nor how the classifier "
        "decides on other photos.",
        "The probability is the classifier's own number. Unless somebody has calibrated it, it is "
        "not how often such answers are right.",
        "Evidence that is there twice may look weak: while one part is hidden, the other still "
        "speaks. A part whose object stays recognizable may look weak, too. Blue or white does not "
        "mean that the classifier did not look there.",
        "What seems natural to a person is no proof: a heatmap on the object does not show that "
        "the classifier understands it.",
    )


def _of_filler(filler: Filler) -> str:
    if filler.inpaints:
        return (
            f"{filler.title} invents what stands in a hole. What it invents may itself speak for "
            "or against a class, or bring the hidden object back: judge by the pictures above."
        )
    return (
        f"The classifier was not trained on photos with parts replaced by {filler.title}. Some of "
        "a change may come from this strange look, not from what is missing: judge by the pictures "
        "above, and by an inpainter such as filler=lightfill."
    )


def _described(part: Component) -> str:
    """Return a component's title, with its parameters."""
    return ": ".join(filter(None, (part.title, _parameters(part))))


def _parameters(part: Component) -> str:
    """Write a component's parameters for people, but for its idle ones: "patch size 29 · ..."."""
    return " · ".join(f"{name} {value}" for name, value in _flat(identity(part), ""))


def _flat(node: Any, prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in node.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name} ")
        elif key not in NOT_PARAMETERS and value is not None:
            yield name, _written(value)


def _written(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_written, value))
    return f"{value:g}" if type(value) is float else str(value)


def _joined(facts: Mapping[str, str]) -> str:
    return " · ".join(f"{name} {value}" for name, value in facts.items() if value)
