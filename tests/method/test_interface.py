"""What methods promise beside their maps: names, bounds, keys, holes for pictures, refusals."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from genattr.components import identity
from genattr.errors import BadPhotoError, UserError
from genattr.method import search
from genattr.method.adaptive import lattices
from genattr.method.boxes import Boxes
from genattr.method.center import Center
from genattr.method.hooked import borrowed
from genattr.method.mask import sum_by_cell
from genattr.method.mp2 import MP2
from genattr.probe import Probe
from genattr.segmentation.grid import Grid
from genattr.types import Sample
from tests.conftest import (
    ConstantFiller,
    LinearClassifier,
    linear_probe,
    photo,
    probes_of_one_classifier,
)
from tests.contract.options import built, compose_config
from tests.method import hooked_toys as toys

CPU = torch.device("cpu")
TITLES = {
    "sp": "SP", "sp-g": "SP-G", "lime": "LIME", "lime-g": "LIME-G", "mp": "MP", "mp-g": "MP-G",
    "mp2": "MP2", "mp2-g": "MP2-G", "fido-ca": "FIDO-CA", "rise": "RISE", "boxes": "boxes",
}  # fmt: skip


def method(option: str, **changes: Any) -> Any:
    return replace(built(compose_config(f"method={option}").method, "method"), **changes)


@pytest.mark.parametrize("option", TITLES)
def test_titles_are_those_of_the_papers(option: str) -> None:
    assert method(option).title == TITLES[option]
    assert method(option).family == TITLES[option].removesuffix("-G")


@pytest.mark.parametrize("option", TITLES)
def test_masks_that_are_optimized_need_gradients(option: str) -> None:
    optimized = ("mp", "mp-g", "mp2", "mp2-g", "fido-ca")
    assert method(option).needs_gradient == (option in optimized)


@pytest.mark.parametrize("option", ["sp", "lime", "mp", "mp2", "fido-ca"])
def test_asking_for_an_inpainter_changes_no_key(option: str) -> None:
    chosen = method(option)
    other = replace(chosen, requires_inpainter=not chosen.requires_inpainter)
    assert identity(other) == identity(chosen)
    assert other.family == chosen.family


def test_titles_tell_the_objective() -> None:
    assert method("fido-ca", objective="deletion").title == "FIDO-CA deletion"
    assert method("mp", objective="preservation").title == "MP preservation"
    assert method("mp", objective="preservation").family == "MP preservation"


def mp2(**changes: Any) -> MP2:
    values = {
        "mask_size": 4, "cells_per_step": 3, "stop": 0.0, "max_steps": None,
        "rank_by": "mask_gradient", "rank_filler": None, "heatmap": "order", "together": 1,
        "requires_inpainter": False,
    }  # fmt: skip
    return MP2(**(values | changes))


def test_a_hole_that_grows_to_the_end_scores_what_was_announced() -> None:
    plain, apart = mp2(), mp2(rank_filler=ConstantFiller(0.8))
    probe = linear_probe(12, filler=ConstantFiller(0.2))
    assert plain.calls(12) == plain.explain(probe).n_scored
    probe = linear_probe(12, filler=ConstantFiller(0.2))
    assert 0 <= apart.calls(12) - apart.explain(probe).n_scored <= 1


def test_a_filler_to_rank_by_is_for_the_mask_gradient_alone() -> None:
    probe = linear_probe(12, 9, filler=ConstantFiller(0.2))
    one, other = (
        mp2(rank_by="image_gradient", stop=0.45, rank_filler=filler).explain(probe)
        for filler in (None, ConstantFiller(0.9))
    )
    assert one.values.any()
    assert torch.equal(one.values, other.values)
    assert one.details == other.details


def test_the_mask_gradient_needs_fills_outside_of_the_hole() -> None:
    assert mp2().needs_fill_outside
    assert not mp2(rank_filler=ConstantFiller()).needs_fill_outside
    assert not mp2(rank_by="image_gradient").needs_fill_outside


@pytest.mark.parametrize("stop", [-0.1, 1.0])
def test_a_stop_that_is_no_probability_is_refused(stop: float) -> None:
    with pytest.raises(UserError, match=r"stop=.* in \[0, 1\), or null for chance"):
        mp2(stop=stop)


class Kinked(LinearClassifier):
    """One pixel has no gradient: the root of nothing, which is zero."""

    def __call__(self, images: Tensor) -> Tensor:
        logits = super().__call__(images)
        return logits + (images[:, 0, 0, :1] * 0).sqrt()


@pytest.mark.parametrize("option", ["mp", "mp2", "fido-ca"])
def test_a_gradient_that_is_not_defined_in_one_place_is_told(option: str) -> None:
    changes = {} if option == "mp2" else {"steps": 2}
    chosen = method(option, mask_size=4, together=1, **changes)
    classifier = Kinked(torch.linspace(-1, 1, 432).view(3, 12, 12))
    probe = Probe(photo(12), 1, classifier, ConstantFiller(), batch_size=8)
    with pytest.raises(UserError, match="gradient"):
        chosen.explain(probe)


def test_a_probability_of_one_half_is_not_above_it() -> None:
    heatmap = linear_probe(12).heatmap(torch.zeros(4, 4), (-0.5, 0.5))
    for objective in ("preservation", "deletion"):
        assert not method("fido-ca", objective=objective).removed(heatmap, 12).any()


def test_lime_shows_its_first_sample_that_hides_anything() -> None:
    chosen = method("lime", n_samples=6, n_segments=6)
    probe = linear_probe(24)
    hole = chosen.sample_hole(chosen.explain(probe), probe)
    assert hole.shape == (1, 1, 24, 24)
    assert torch.equal(hole, chosen._holes(probe).expand(slice(0, 6))[1:2])
    assert hole.any()


def test_sp_shows_the_window_that_costs_the_most() -> None:
    chosen = method("sp", patch_size=4, stride=4)
    probe = linear_probe(12)
    hole = chosen.sample_hole(chosen.explain(probe), probe)
    drops = [
        probe.original - float(probe.prob(probe.composite(one[None])))
        for one in chosen.cell_holes(12).expand(slice(0, 9))
    ]
    best = max(range(9), key=drops.__getitem__)
    assert torch.equal(hole[0], chosen.cell_holes(12).expand(slice(0, 9))[best])


def test_boxes_are_ones_in_pixels_rounded_to_the_nearest() -> None:
    boxes = torch.tensor([[0.6, 2.4, 3.6, 5.4], [8.0, 8.0, 10.0, 9.0]])
    sample = photo(12, boxes=boxes)
    probe = Probe(sample, 1, LinearClassifier(torch.zeros(3, 12, 12)), ConstantFiller())
    expected = torch.zeros(12, 12)
    expected[2:5, 1:4] = 1
    expected[8, 8:10] = 1
    heatmap = Boxes("deletion").explain(probe)
    assert torch.equal(heatmap.values, expected)
    assert torch.equal(Boxes("deletion").removed(heatmap, 12)[0, 0], expected == 1)
    assert torch.equal(Boxes("preservation").removed(heatmap, 12)[0, 0], expected == 0)
    assert Boxes("deletion").reads(sample) == {"boxes": boxes.tolist()}
    with pytest.raises(BadPhotoError, match="noise0: it has no boxes"):
        Boxes("deletion").reads(photo(12))


@pytest.mark.parametrize("option", ["center", "sp", "lime", "rise", "mp"])
def test_only_the_mask_gradient_needs_fills_outside_of_the_hole(option: str) -> None:
    assert not method(option).needs_fill_outside


def test_baselines_score_the_photo_alone() -> None:
    assert (Center().title, Center().calls(12)) == ("center", 1)
    assert Center().explain(linear_probe(12)).n_scored == 1


def test_every_third_cell_is_in_the_second_lattice() -> None:
    coarse, second, _ = (grid.int().tolist() for grid in lattices(7))
    assert coarse[1] == [0] * 7
    assert second[0] == coarse[0] == [1, 0, 0, 1, 0, 0, 1]
    assert second[1] == [0, 0, 1, 0, 0, 1, 0]
    assert second[2] == [0, 1, 0, 0, 1, 0, 0]


def test_sums_by_cell_are_those_of_blocks() -> None:
    pixels = torch.arange(2 * 36.0).view(2, 6, 6)
    expected = pixels.view(2, 3, 2, 3, 2).sum(dim=(2, 4))
    assert torch.equal(sum_by_cell(pixels, 3), expected)


@pytest.mark.parametrize("name", ["GuidedBackprop", "Deconvolution", "GuidedGradCam"])
def test_captums_rules_for_relu_want_one(name: str, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("captum")
    from tests.method.test_captum import method as captum

    captum(name, layer="patches" if name == "GuidedGradCam" else None).check(
        toys.classifier("tokens"), CPU
    )
    assert f"method.name={name} changes the gradients of nn.ReLU" in caplog.text


@pytest.mark.parametrize("name", ["Occlusion", "IntegratedGradients"])
def test_captum_asks_in_batches_of_the_run(name: str) -> None:
    pytest.importorskip("captum")
    from tests.method.test_captum import method as captum

    probe, rows = toys.probe(), []
    chosen = captum(name)
    probe.network.first.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    heatmap = chosen.explain(probe)
    assert max(rows) == 8
    if name == "Occlusion":  # 5 x 5 windows and the photo
        assert 26 <= heatmap.n_scored <= chosen.calls(toys.SIZE) <= 30


def test_grad_cam_finds_its_layer_before_it_asks_about_each_channel() -> None:
    pytest.importorskip("pytorch_grad_cam")
    import tqdm

    from tests.method.test_gradcam import method as gradcam

    before = tqdm.tqdm
    with pytest.raises(UserError, match="has no such layer"):
        gradcam("ScoreCAM", layer="secnd").check(toys.classifier(), CPU)
    gradcam("ScoreCAM").explain(toys.probe())
    assert tqdm.tqdm is before


def test_rows_and_calls_are_counted_for_each_heatmap() -> None:
    chosen = method("lime", n_samples=6)
    assert chosen.calls(12) == 7  # the samples and the photo's own score
    assert chosen.rows(12, 3) == 3 * chosen.calls(12)
    assert mp2(together=2).rows(12, 3) == 4 * mp2().calls(12)


def test_a_photo_of_one_segment_is_refused() -> None:
    flat = photo(24, image=torch.full((3, 24, 24), 0.5))
    chosen = method("lime", n_segments=2)
    chosen = replace(chosen, segmentation=Whole())
    with pytest.raises(BadPhotoError, match=r"it is one segment for method\.segmentation"):
        chosen.reads(flat)


class Whole(Grid):
    """The photo as one segment."""

    def split(self, sample: Sample, *_: Any) -> Tensor:
        return torch.zeros(sample.image.shape[-2:], dtype=torch.long)


def test_cells_of_one_half_are_removed_and_the_area_is_their_mean() -> None:
    chosen = method("mp-g", mask_size=4, steps=2, together=1, jitter=0)
    probe = linear_probe(12, filler=ConstantFiller(0.2))
    heatmap = chosen.explain(probe)
    assert heatmap.details["area"] == pytest.approx(float(heatmap.values.mean()))
    assert heatmap.value_range == (0, 1)
    halves = replace(heatmap, values=torch.full((4, 4), 0.5))
    assert chosen.removed(halves, 12).all()


def test_a_growing_hole_is_a_map_from_0_to_1() -> None:
    assert mp2(max_steps=2).explain(linear_probe(12)).value_range == (0, 1)


def test_a_photos_seconds_are_part_of_what_passed() -> None:
    start = time.perf_counter()
    heatmap = mp2(max_steps=2).explain(linear_probe(12))
    assert 0 < heatmap.seconds <= time.perf_counter() - start


def test_a_photos_seconds_hold_those_of_its_coming(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "changes_nothing", lambda probe: bool(time.sleep(0.3)))
    assert mp2(max_steps=1).explain(linear_probe(12)).seconds >= 0.3


@pytest.mark.parametrize("option", ["mp", "mp2", "fido-ca"])
def test_a_mask_finer_than_the_image_is_refused(option: str) -> None:
    method(option, mask_size=12).calls(12)
    with pytest.raises(UserError, match=r"^method\.mask_size=13: .* have 12 pixels"):
        method(option, mask_size=13).calls(12)


def test_photos_together_share_the_seconds_that_passed() -> None:
    start = time.perf_counter()
    chosen = mp2(together=4, max_steps=4)
    found = [heatmap for _, heatmap in chosen.explain_many(probes_of_one_classifier(4))]
    passed = time.perf_counter() - start
    assert passed / 3 <= sum(heatmap.seconds for heatmap in found) <= passed


def test_hooks_of_others_stay() -> None:
    probe, seen = toys.probe(), []
    probe.network.second.register_forward_hook(lambda *_: seen.append(1))
    with borrowed(probe.network):
        probe.network.first.register_forward_hook(lambda *_: seen.append(2))
    probe.network(probe.image[None])
    assert seen == [1]


def test_captums_keys_that_are_not_read_are_idle() -> None:
    pytest.importorskip("captum")
    from tests.method.test_captum import method as captum

    assert "layer" in captum("Saliency").idle
    assert "segmentation" in captum("Saliency").idle
    assert "layer" not in captum("LayerGradCam").idle
    assert "segmentation" not in captum("FeatureAblation").idle
