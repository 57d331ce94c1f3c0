"""Photos explained together: real ones under a real classifier, and toys against a plain loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from genattr.components import identity
from genattr.errors import UserError
from genattr.method import search
from genattr.method.mask import changes_nothing
from genattr.method.search import UNSEEN, Search, SearchMethod
from genattr.ops import graphs
from genattr.probe import Probe
from genattr.protocols import Classifier, Filler
from genattr.types import Heatmap, Sample
from tests.conftest import (
    ConstantFiller,
    IdentityFiller,
    LinearClassifier,
    NoiseFiller,
    photo,
    probes_of_one_classifier,
)
from tests.contract.options import built, compose_config
from tests.method import plain_search
from tests.toys import fill_with_rim

PHOTOS = 3
SIZE = 16
TOYS = 4
BLIND = "noise1"


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


@dataclass(frozen=True)
class Curved(Classifier):
    """Five classes by two convolutions."""

    labels: Sequence[str] = tuple("abcde")
    input_size: int = SIZE

    def __call__(self, images: Tensor) -> Tensor:
        draws = torch.Generator().manual_seed(3)
        for shape in ((8, 3, 5, 5), (5, 8, 3, 3)):
            weights = torch.randn(shape, generator=draws) / 4
            images = functional.conv2d(images - 0.4, weights, stride=2).tanh()
        return 6 * images.mean(dim=(2, 3))


@dataclass(frozen=True)
class RimFiller(ConstantFiller):
    """The mean color of what is known; it reads the hole."""

    reads_hole = True

    def fill(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        return fill_with_rim(images, hole, seeds)


@dataclass(frozen=True)
class OfPhoto(ConstantFiller):
    """A filler of its own for each photo: some blind, some of one fill, some that read the hole."""

    def for_sample(self, sample: Sample) -> Filler:
        if sample.image_id == BLIND:
            return IdentityFiller()
        return RimFiller() if sample.image_id == "noise2" else ConstantFiller(sample.native_size[0])


def toy_probes(filler: Filler, explain: str = "probability") -> list[Probe]:
    samples = [photo(SIZE, seed, native_size=(seed / 5, 1)) for seed in range(TOYS)]
    return [Probe(one, 3, Curved(), filler, batch_size=4, explain=explain) for one in samples]


def toy_method(option: str, **changes: object) -> SearchMethod:
    method = built(compose_config(f"method={option}", "filler=mirror").method, "method")
    small = {"MP": {"steps": 7}, "MP2": {"stop": 0.65, "max_steps": 12, "cells_per_step": 3}}
    few = small.get(method.family, {"steps": 5, "batch": 3})
    return replace(method, **({"mask_size": 8} | few | changes))


def plainly(method: SearchMethod, probe: Probe) -> Tensor | None:
    """Return the values of the plain loop, or None where no hole has an effect."""
    if changes_nothing(probe):
        return None
    if method.family == "MP2":
        return plain_search.mp2(method, probe, method.stop)
    run = plain_search.fido if method.family.startswith("FIDO") else plain_search.mp
    return run(method, probe)


def check_against_the_plain_loop(method: SearchMethod, filler: Filler, explain: str) -> None:
    found = {one.image_id: one for _, one in method.explain_many(toy_probes(filler, explain))}
    assert len(found) == TOYS
    for probe in toy_probes(filler, explain):
        heatmap, expected = found[probe.sample.image_id], plainly(method, probe)
        assert heatmap.details["changed_nothing"] == (expected is None)
        assert heatmap.n_filled == probe.counts.filled
        assert heatmap.n_scored == probe.counts.scored + 1  # the untouched photo
        if expected is not None:
            assert torch.equal(heatmap.values, map_of(method, expected))


def map_of(method: SearchMethod, learned: Tensor) -> Tensor:
    """Turn what the plain loop returns into a heatmap."""
    if method.family.startswith("FIDO"):
        drop = torch.sigmoid(learned)
        return 0.5 - drop if method.objective == "preservation" else drop - 0.5
    if method.family == "MP2":
        steps = learned.max() + 1
        return torch.where(learned >= 0, (steps - learned) / steps.clamp(min=1), 0.0)
    return learned if method.objective == "deletion" else 1 - learned


FILLERS = (ConstantFiller(0.4), RimFiller(), NoiseFiller(), OfPhoto())


@pytest.mark.parametrize("together", [1, 2, 3])
@pytest.mark.parametrize("filler", FILLERS)
@pytest.mark.parametrize("option", ["mp", "mp-g", "mp2", "mp2-g", "fido-ca"])
def test_a_photo_is_explained_as_by_the_plain_loop(
    option: str, filler: Filler, together: int
) -> None:
    check_against_the_plain_loop(toy_method(option, together=together), filler, "probability")


@pytest.mark.parametrize(
    ("option", "changes", "explain"),
    [
        ("mp", {"jitter": 0, "interpolation": "nearest", "objective": "preservation"}, "logit"),
        ("mp", {"mask_size": 5, "together": 3}, "probability"),
        ("mp", {"jitter_batch": 2, "jitter": 2}, "log_odds"),
        ("mp-g", {"jitter_batch": 3, "jitter": 3, "steps": 4}, "logit"),
        ("mp2", {"rank_by": "image_gradient", "mask_size": 5}, "logit"),
        ("mp2", {"rank_filler": RimFiller(), "cells_per_step": 2}, "probability"),
        ("mp2-g", {"rank_filler": NoiseFiller(), "stop": 0.1, "max_steps": None}, "log_odds"),
        ("mp2", {"stop": 0.99}, "probability"),
        ("mp2-g", {"stop": 0.99}, "probability"),
        ("fido-ca", {"objective": "deletion", "steps": 33, "batch": 1}, "logit"),
        ("fido-ca", {"mask_size": 5}, "probability"),
    ],
)
def test_every_parameter_means_what_it_means_in_the_plain_loop(
    option: str, changes: dict[str, object], explain: str
) -> None:
    for filler in (ConstantFiller(0.4), RimFiller()):
        check_against_the_plain_loop(toy_method(option, **changes), filler, explain)


@pytest.mark.parametrize("option", ["mp", "mp-g", "mp2", "mp2-g", "fido-ca"])
def test_an_accelerator_that_looks_seldom_finds_the_same(
    option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps that are computed for a finished photo change nothing, and count nothing."""
    method = toy_method(option, together=3)
    often = [one for _, one in method.explain_many(toy_probes(OfPhoto()))]
    looks = spied(monkeypatch, method)
    monkeypatch.setattr(Search, "is_watched", False)
    seldom = {one.image_id: one for _, one in method.explain_many(toy_probes(OfPhoto()))}
    for one in often:
        other = seldom[one.image_id]
        assert torch.equal(one.values, other.values)
        assert (one.n_scored, one.n_filled) == (other.n_scored, other.n_filled)
        assert one.details == other.details
    assert max(looks) == min(UNSEEN, method.search(toy_probes(OfPhoto())[0]).bound)


def spied(monkeypatch: pytest.MonkeyPatch, method: SearchMethod) -> list[int]:
    """Return a list to which the steps between two looks are added."""
    kind = type(method.search(toy_probes(OfPhoto())[0]))
    look, looks, before = kind.look, [], [0]

    def spy(running: Search) -> None:
        looks.append(running.taken - before[0])
        before[0] = running.taken
        look(running)

    monkeypatch.setattr(kind, "look", spy)
    return looks


@pytest.mark.parametrize("option", ["mp", "mp2"])
def test_photos_that_lacked_memory_come_again(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method = toy_method(option, together=2)
    alone = {one.image_id: one for _, one in method.explain_many(toy_probes(ConstantFiller(0.4)))}
    advance, steps = Search.advance, []

    def lacking(running: Search) -> None:
        steps.append(len(running.running))
        advance(running)
        if len(steps) == 3:
            raise MemoryError("out of memory")

    monkeypatch.setattr(Search, "advance", lacking)
    found = [one for _, one in method.explain_many(toy_probes(ConstantFiller(0.4)))]
    assert {*steps[:3]} == {2}
    assert {*steps[3:]} == {1}  # half as many at a time
    assert sorted(one.image_id for one in found) == sorted(alone)
    for one in found:
        other = alone[one.image_id]
        assert torch.allclose(one.values, other.values, atol=1e-6)
        assert one.n_scored == other.n_scored


STEPS = [
    ("mp", {"jitter_batch": 2}),
    ("mp-g", {"jitter": 0}),
    ("mp2", {}),
    ("mp2", {"rank_by": "image_gradient"}),
    ("mp2", {"rank_filler": ConstantFiller(0.9)}),
    ("fido-ca", {}),
]


@pytest.mark.parametrize(("option", "changes"), STEPS)
def test_a_step_asks_the_device_for_no_number(
    option: str, changes: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the meta device there are none: whatever would wait for one fails."""
    monkeypatch.setattr(search, "changes_nothing", lambda probe: False)
    classifier = LinearClassifier(torch.zeros(3, SIZE, SIZE, device="meta"))
    probes = [
        Probe(photo(SIZE, seed), 1, classifier, ConstantFiller(0.4), device="meta")
        for seed in range(2)
    ]
    running = toy_method(option, together=2, **changes).search(probes[0])
    assert running.admit(iter(probes))
    for _ in range(2):
        running.bring()
        running.step()
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        running.look()


@pytest.mark.parametrize(("option", "changes"), STEPS)
def test_steps_that_are_recorded_and_replayed_find_the_same(
    option: str, changes: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recording takes steps of its own, so that all that a step changes has to be restored."""
    method = toy_method(option, together=3, **changes)
    plain = [heatmap.values for _, heatmap in method.explain_many(toy_probes(ConstantFiller(0.4)))]
    recorded = []

    def record(step: Callable[[], None]) -> Callable[[], None]:
        recorded.append(step)
        step()
        return step

    monkeypatch.setattr(graphs, "record", record)
    monkeypatch.setattr(Search, "_is_recordable", True)
    found = [heatmap.values for _, heatmap in method.explain_many(toy_probes(ConstantFiller(0.4)))]
    assert len(recorded) == 1
    assert all(torch.equal(*pair) for pair in zip(found, plain, strict=True))
    assert list(method.explain_many(toy_probes(RimFiller())))
    assert len(recorded) == 1  # a filler that reads the hole is asked in each step


@dataclass(frozen=True)
class Steep(Curved):
    """Its gradient is NaN in a photo that is dark."""

    def __call__(self, images: Tensor) -> Tensor:
        light = images.mean(dim=(1, 2, 3))
        return super().__call__(images) + torch.where(light < 0.3, 0 * light, 1).sqrt()[:, None]


@pytest.mark.parametrize("watched", [True, False])
@pytest.mark.parametrize("option", ["mp", "mp2", "mp2-g", "fido-ca"])
def test_an_undefined_gradient_is_an_error_that_names_the_photo(
    option: str, watched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Search, "is_watched", watched)
    samples = [photo(SIZE, seed) for seed in range(3)]
    samples[1].image.mul_(0.2)
    stops = {"stop": 0.0} if option.startswith("mp2") else {}
    method = toy_method(option, together=3, **stops)
    probes = [Probe(one, 3, Steep(), ConstantFiller(0.4), explain="logit") for one in samples]
    with pytest.raises(UserError, match="gradient is NaN or infinite for noise1"):
        list(method.explain_many(probes))


@pytest.mark.parametrize("method", ["mp", "mp2", "fido-ca"])
def test_a_step_has_as_many_rows_however_many_photos_are_left(method: str) -> None:
    cfg = compose_config(f"method={method}", "method.mask_size=4")
    steps = {"mp": {"steps": 2}, "mp2": {"max_steps": 2}, "fido-ca": {"steps": 2, "batch": 2}}[
        method
    ]
    rows = 6 if method == "fido-ca" else 3
    explainer = replace(built(cfg.method, "method"), together=3, **steps)
    for count in (1, 2, 5):
        seen: list[int] = []
        probes = probes_of_one_classifier(count)
        scorer = Watched(probes[0].scorer.classifier, seen)
        for probe in probes:
            probe.scorer.classifier = scorer
        assert len(list(explainer.explain_many(probes))) == count
        assert set(seen) == {1, rows}  # the untouched photos, and steps


def test_only_the_keys_of_mp_and_fido_depend_on_how_many_photos_are_explained_together() -> None:
    for option, counts in (
        *(("mp", True), ("mp-g", True), ("fido-ca", True)),
        *(("mp2", False), ("mp2-g", False)),
    ):
        method = built(compose_config(f"method={option}").method, "method")
        keys = [identity(replace(method, together=together)) for together in (1, 2)]
        assert (keys[0] != keys[1]) == counts


@pytest.mark.parametrize("option", ["mp", "mp2", "fido-ca"])
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
