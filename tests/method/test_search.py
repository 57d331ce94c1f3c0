"""Real photos explained together, under a real classifier."""

from __future__ import annotations

from functools import cache

import pytest

from genattr.probe import Probe, score_originals
from genattr.types import Heatmap
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


def test_photos_score_the_same_in_one_batch_as_each_alone() -> None:
    cfg = compose_config("batch_size=4")
    dataset, classifier, filler = (
        built(cfg[group], group) for group in ("dataset", "classifier", "filler")
    )
    samples = [dataset.load(index, classifier.input_size) for index in range(6)]

    def probes() -> list[Probe]:
        return [Probe(one, int(one.label), classifier, filler, batch_size=4) for one in samples]

    together = probes()
    score_originals(together)
    assert [probe.original for probe in together] == [probe.original for probe in probes()]
    score_originals(together)
    assert [probe.counts.scored for probe in together] == [1] * 6
