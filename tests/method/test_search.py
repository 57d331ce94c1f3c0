"""Real photos explained together, under a real classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import pytest
from torch import Tensor

from genattr.component import identity
from genattr.probe import Probe
from genattr.protocols import Classifier
from genattr.types import Heatmap
from tests.conftest import probes_of_one_classifier
from tests.contract.options import built, compose_config

PHOTOS = 3


@cache
def explained(method: str, together: int) -> dict[str, Heatmap]:
    """Explain the first embedded photos, few steps each, so many at a time."""
    few = [f"method.{'max_steps=12' if method.startswith('mp2') else 'steps=8'}"]
    cfg = compose_config(f"method={method}", *few, f"method.together={together}")
    dataset, classifier, filler, one = (
        built(cfg[group], group) for group in ("dataset", "classifier", "filler", "method")
    )
    samples = [dataset.load(index, classifier.input_size) for index in range(PHOTOS)]
    probes = [Probe(sample, int(sample.label), classifier, filler) for sample in samples]
    return {heatmap.image_id: heatmap for _, heatmap in one.explain_many(probes)}


@pytest.mark.parametrize("method", ["mp2", "mp2-g"])
def test_mp2_finds_the_same_cells_alone_and_together(method: str) -> None:
    alone, together = explained(method, 1), explained(method, 2)
    assert len(alone) == PHOTOS
    for name, heatmap in alone.items():
        assert (heatmap.values > 0).any()
        assert (heatmap.values == together[name].values).float().mean() >= 0.99


def test_mp_learns_the_same_hole_alone_and_together() -> None:
    """Adam divides by the gradient, so that noise counts where the gradient is weak."""
    alone, together = explained("mp", 1), explained("mp", 2)
    for name, heatmap in alone.items():
        difference = (heatmap.values - together[name].values).abs()
        assert difference.mean() < 1e-3
        assert difference.max() < 0.05


@pytest.mark.parametrize("method", ["mp", "mp2"])
def test_a_step_has_as_many_rows_however_many_photos_are_left(method: str) -> None:
    cfg = compose_config(f"method={method}", "method.mask_size=4")
    steps = {"mp": {"steps": 2}, "mp2": {"max_steps": 2}}[method]
    explainer = replace(built(cfg.method, "method"), together=3, **steps)
    for count in (1, 2, 5):
        seen: list[int] = []
        probes = probes_of_one_classifier(count)
        scorer = Watched(probes[0].scorer.classifier, seen)
        for probe in probes:
            probe.scorer.classifier = scorer
        assert len(list(explainer.explain_many(probes))) == count
        assert set(seen) == {1, 3}  # the untouched photos, and steps


def test_only_the_keys_of_mp_depend_on_how_many_photos_are_explained_together() -> None:
    for option, counts in (("mp", True), ("mp-g", True), ("mp2", False), ("mp2-g", False)):
        method = built(compose_config(f"method={option}").method, "method")
        keys = [identity(replace(method, together=together)) for together in (1, 2)]
        assert (keys[0] != keys[1]) == counts


@pytest.mark.parametrize("option", ["mp", "mp2"])
def test_the_estimate_counts_the_rows_of_photos_that_are_not_there(option: str) -> None:
    method = replace(built(compose_config(f"method={option}").method, "method"), together=8)
    assert method.rows(224, 1) == method.rows(224, 8) == 8 * method.calls(224)
    assert method.rows(224, 9) == 16 * method.calls(224)


@dataclass(frozen=True)
class Watched(Classifier):
    """A classifier that notes how many images each batch has."""

    classifier: Classifier
    seen: list[int]

    @property
    def labels(self) -> Sequence[str]:
        return self.classifier.labels

    def __call__(self, images: Tensor) -> Tensor:
        self.seen.append(len(images))
        return self.classifier(images)
