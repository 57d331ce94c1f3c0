"""Classifiers and fillers of a user's own: the right heatmap, or one clear line, and soon."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig
from torch import Tensor

import genattr
from genattr.dataset.given import Given, Picture
from genattr.errors import BadPhotoError, UserError
from genattr.method.base import Method
from genattr.run import experiment
from genattr.run.selection import Chosen
from genattr.run.study import Built, Study
from genattr.run.tasks import Task
from genattr.run.worker import Explainer
from genattr.scoring import Counts
from genattr.store.heatmaps import NoStore
from genattr.types import Heatmap
from tests.contract.options import compose_config
from tests.faults import parts
from tests.faults.conftest import Tally
from tests.faults.generated import GENERATED, in_time
from tests.faults.parts import Behavior
from tests.faults.readers import WHOLE, check_line

OF_MEMORY = "MemoryError of memory"
PHOTO = "photo-7"
IMAGE = (torch.rand(3, parts.SIDE, parts.SIDE, generator=parts.draws(1)) * 255).round() / 255
METHODS: dict[str, dict[str, Any]] = {
    "sp": {"patch_size": 6, "stride": 3},
    "lime": {"n_samples": 9, "n_segments": 4, "segmentation": "grid"},
    "mp": {"mask_size": 3, "steps": 4, "jitter": 2, "jitter_batch": 2},
    "mp2": {"mask_size": 3, "rank_by": "image_gradient"},
    "fido-ca": {"mask_size": 3, "steps": 4, "batch": 2},
    "rise": {"n_samples": 9, "cells": 3},
}
ONLY_GENERATED = GENERATED | {"phases": [Phase.generate]}  # without a search for smaller ones


@dataclass(frozen=True)
class Case:
    """A run of one photo."""

    method: str
    engine: str
    explain: str
    batch_size: int
    target: str
    classifier_is_class: bool
    filler_is_class: bool
    reads_hole: bool


CASES = st.builds(
    Case,
    method=st.sampled_from(list(METHODS)),
    engine=st.sampled_from(["plain", "dense", "auto"]),
    explain=st.sampled_from(["probability", "log_odds", "logit"]),
    batch_size=st.sampled_from([3, 4, 32]),
    target=st.sampled_from(["label", "predicted"]),
    classifier_is_class=st.booleans(),
    filler_is_class=st.booleans(),
    reads_hole=st.booleans(),
)


def behaviors(kinds: parts.Kinds) -> st.SearchStrategy[Behavior]:
    return st.builds(
        Behavior, st.sampled_from(list(kinds)), st.sampled_from(parts.WHEN), st.integers(0, 24)
    )


@cache
def method_of(name: str) -> Method:
    method = genattr.component(f"method/{name}", **METHODS[name])
    assert isinstance(method, Method)
    return method


@cache
def settings_of(name: str) -> DictConfig:
    chosen = ["classifier=callable", "dataset=folder", "metric=[]", "tracking=none", "threads=1"]
    return compose_config(f"method={name}", *chosen)


class Kept(Explainer):
    """Keeps the heatmaps."""

    def __init__(self, study: Study) -> None:
        super().__init__(study, Counts())
        self.heatmaps: list[Heatmap] = []

    def finish(self, task: Task, heatmap: Heatmap) -> None:
        self.heatmaps.append(heatmap)

    def skip(self, error: BadPhotoError, heatmaps: int) -> None:
        raise error


class Outcome:
    """What came of a case: values, or the line of an error, and whether it came before the work."""

    def __init__(self, case: Case, classifier: Behavior, filler: Behavior) -> None:
        self.values: Tensor | None = None
        self.line, self.was_early = "", True
        try:
            with in_time():
                self._explain(case, classifier, filler)
        except UserError as error:
            self.line = str(error)
            check_line(self.line)
        except MemoryError:  # told by the command, as any other lack of memory is
            assert OF_MEMORY in (classifier.kind, filler.kind)
            self.line = "memory"

    def _explain(self, case: Case, of_classifier: Behavior, of_filler: Behavior) -> None:
        cfg = settings_of(case.method).copy()
        for key in ("engine", "explain", "batch_size", "target"):
            cfg[key] = getattr(case, key)
        image = IMAGE.clone()
        pictures = [Picture(PHOTO, image, label=1)]
        photos = Given(pictures=pictures, **WHOLE)
        built = Built(
            dataset=photos,
            classifier=parts.classifier(of_classifier, is_class=case.classifier_is_class),
            filler=parts.filler(
                of_filler, is_class=case.filler_is_class, reads_hole=case.reads_hole
            ),
            method=method_of(case.method),
            store=NoStore(),
        )
        parts.BUFFERS.clear()
        study = experiment.assemble(cfg, built)
        self.was_early = False
        kept = Kept(study)
        kept.explain(Chosen([0], []))
        assert torch.equal(image, IMAGE)
        self.values = kept.heatmaps[0].values


@cache
def right(case: Case) -> Tensor:
    """Return the heatmap of parts that behave."""
    outcome = Outcome(case, Behavior(), Behavior())
    assert outcome.values is not None, outcome.line
    return outcome.values


def state() -> tuple[Any, ...]:
    return (
        torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads(),
        torch.get_default_device(), torch.is_autocast_enabled("cpu"),
        torch.are_deterministic_algorithms_enabled(),
    )  # fmt: skip


def judge(case: Case, classifier: Behavior, filler: Behavior, *names: str) -> None:
    """Raise unless a case ends in the right heatmap or in a line that names one of some words."""
    expected = right(case)
    before = state()
    outcome = Outcome(case, replace(classifier), replace(filler))
    assert state() == before
    if outcome.values is not None:
        assert bool(outcome.values.isfinite().all())
        if not _is_unseen(case, classifier, filler):
            assert torch.allclose(outcome.values, expected, rtol=1e-4, atol=1e-5)
        return
    if OF_MEMORY in (classifier.kind, filler.kind) and "memory" in outcome.line:
        return
    assert any(name in outcome.line for name in names), outcome.line
    assert outcome.was_early or PHOTO in outcome.line, outcome.line
    assert not (classifier.is_harmless and filler.is_harmless), outcome.line


def _is_unseen(case: Case, classifier: Behavior, filler: Behavior) -> bool:
    """Whether a map may differ: some answers look right, and soft masks mix what is kept, too."""
    kinds = (classifier.kind, filler.kind)
    is_square = classifier.kind == "swapped" and case.batch_size == parts.CLASSES
    looks_right = "others each time" in kinds or filler.kind == "swapped" or is_square
    return looks_right or (case.method == "mp" and filler.kind == "kept pixels")


@pytest.mark.parametrize("kind", list(parts.CLASSIFIERS))
def test_classifiers_that_misbehave(kind: str, tally: Tally) -> None:
    count = 18

    @settings(max_examples=count, **ONLY_GENERATED)
    @given(CASES, behaviors({kind: parts.CLASSIFIERS[kind]}))
    def tried(case: Case, behavior: Behavior) -> None:
        judge(case, behavior, Behavior(), "Mine", "classifier")
        tally("classifiers that misbehave")

    tried()


@pytest.mark.parametrize("kind", list(parts.FILLERS))
def test_fillers_that_misbehave(kind: str, tally: Tally) -> None:
    count = 18

    @settings(max_examples=count, **ONLY_GENERATED)
    @given(CASES, behaviors({kind: parts.FILLERS[kind]}))
    def tried(case: Case, behavior: Behavior) -> None:
        judge(case, Behavior(), behavior, "Paint", "filling")
        tally("fillers that misbehave")

    tried()


@pytest.mark.parametrize("part", range(8))
def test_both_misbehave(part: int, tally: Tally) -> None:
    @settings(max_examples=60, **ONLY_GENERATED)
    @given(CASES, behaviors(parts.CLASSIFIERS), behaviors(parts.FILLERS), st.just(part))
    def tried(case: Case, classifier: Behavior, filler: Behavior, _: int) -> None:
        judge(case, classifier, filler, "Mine", "classifier", "Paint", "filling")
        tally("classifiers and fillers that both misbehave")

    tried()
