"""The hole that pictures show is the hole that the method ends with."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from genattr.method.mp import MP, LearnedHoles
from genattr.probe import Probe
from tests.conftest import ConstantFiller, linear_probe
from tests.contract.options import built, compose_config

SIZE = 24


def method(option: str, **changes: object) -> object:
    cfg = compose_config(f"method={option}", "filler=mirror")
    return replace(built(cfg.method, "method"), mask_size=6, **changes)


def shown(explainer: object, probe: Probe) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the hole that is shown, and the probability without it."""
    hole = explainer.removed(explainer.explain(probe), SIZE)
    assert hole.shape == (1, 1, SIZE, SIZE)
    return hole, probe.prob(probe.composite(hole))


def learned(explainer: MP, probe: Probe) -> LearnedHoles:
    """Learn a hole as ``explain`` does."""
    search = explainer.search(probe)
    search.admit(iter([probe]))
    while not search.finished:
        search.advance()
    return search


@pytest.mark.parametrize("objective", ["deletion", "preservation"])
@pytest.mark.parametrize(("option", "interpolation"), [("mp", "bilinear"), ("mp-g", "bilinear"),
                                                       ("mp", "nearest")])  # fmt: skip
def test_mp_shows_the_hole_that_it_optimized(
    option: str, interpolation: str, objective: str
) -> None:
    explainer = method(option, steps=4, jitter=0, objective=objective, interpolation=interpolation)
    probe = linear_probe(SIZE, filler=ConstantFiller(0.2))
    search = learned(explainer, probe)
    expected = probe.prob(search.images(search.values, search.number)[0])
    _, probability = shown(explainer, linear_probe(SIZE, filler=ConstantFiller(0.2)))
    assert torch.allclose(probability, expected, atol=1e-6)


@pytest.mark.parametrize("objective", ["deletion", "preservation"])
def test_fido_shows_the_pixels_that_are_rather_dropped(objective: str) -> None:
    explainer = method("fido-ca", steps=4, batch=2, objective=objective)
    heatmap = explainer.explain(linear_probe(SIZE, filler=ConstantFiller(0.2)))
    drop = 0.5 - heatmap.values if objective == "preservation" else heatmap.values + 0.5
    pixels = functional.interpolate(drop[None, None], (SIZE, SIZE), mode="bilinear")
    hole = explainer.removed(heatmap, SIZE)
    assert torch.equal(hole, pixels > 0.5)
    cells = (drop > 0.5).float()[None, None]
    assert not torch.equal(hole, functional.interpolate(cells, (SIZE, SIZE)) > 0)


def test_mp2_shows_its_cells_and_a_method_without_a_hole_nothing() -> None:
    explainer = method("mp2", max_steps=5)
    heatmap = explainer.explain(linear_probe(SIZE, filler=ConstantFiller(0.2)))
    cells = (heatmap.values > 0).repeat_interleave(4, 0).repeat_interleave(4, 1)
    assert torch.equal(explainer.removed(heatmap, SIZE)[0, 0], cells)
    plain = built(compose_config("method=sp").method, "method")
    assert plain.removed(heatmap, SIZE) is None
