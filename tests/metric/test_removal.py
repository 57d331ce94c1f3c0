"""What is left when a marked part is removed: judge, MS-SSIM, LPIPS."""

from __future__ import annotations

import math
from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from genattr.errors import UserError
from genattr.metric.judge import Judge
from genattr.metric.lpips import Lpips
from genattr.metric.ms_ssim import MsSsim
from genattr.metric.remains import Remains
from genattr.probe import Probe
from genattr.types import Heatmap
from tests.conftest import ConstantFiller, IdentityFiller, LinearClassifier, linear_probe, photo


def marked(probe: Probe, part: Tensor) -> Heatmap:
    return probe.heatmap(part, (0.0, 1.0))


def left_half(size: int) -> Tensor:
    part = torch.zeros(size, size)
    part[:, : size // 2] = 1
    return part


def test_the_judge_sees_the_photo_without_what_the_map_marks() -> None:
    size = 8
    weights = torch.zeros(3, size, size)
    weights[:, :, : size // 2] = 1.0  # "yes" where the left half is bright
    weights[:, :, size // 2 :] = -0.01
    sample = photo(size, label=1)
    judge = Judge(threshold=0.5, judge=LinearClassifier(weights))
    probe = Probe(sample, 1, LinearClassifier(torch.zeros(3, size, size)), ConstantFiller(0.0))
    without = judge.per_image(marked(probe, left_half(size)), probe)
    assert without == {"accuracy": 0.0, "accuracy_before": 1.0}
    right = judge.per_image(marked(probe, 1 - left_half(size)), probe)
    assert right == {"accuracy": 1.0, "accuracy_before": 1.0}


def test_a_judge_may_take_other_sizes() -> None:
    seen: list[Tensor] = []

    class Watching(LinearClassifier):
        def __call__(self, images: Tensor) -> Tensor:
            seen.append(images)
            return super().__call__(images)

    probe = linear_probe(12)
    Judge(0.5, Watching(torch.ones(3, 20, 20))).per_image(marked(probe, left_half(12)), probe)
    expected = functional.interpolate(probe.image[None], size=(20, 20), mode="bilinear")
    assert torch.allclose(seen[0][1:], expected)


def test_only_what_reaches_the_threshold_is_removed() -> None:
    probe = linear_probe(12, filler=ConstantFiller(0.0))
    ramp = torch.linspace(0, 2, 12).expand(12, 12)
    seen: list[Tensor] = []

    class Watching(Judge):
        def compare(self, probe: Probe, filled: Tensor) -> dict[str, float]:
            seen.append(filled)
            return {}

    Watching(0.5, probe.scorer.classifier).per_image(marked(probe, ramp), probe)
    gone = (seen[0] == 0).all(dim=1)[0]
    assert torch.equal(gone, ramp >= 1)


def test_a_map_that_marks_nothing_is_undefined() -> None:
    metric = MsSsim(threshold=0.5)
    probe = linear_probe(176)
    row = metric.per_image(marked(probe, torch.zeros(176, 176)), probe)
    assert row == {"score": None}
    (value,) = metric.aggregate([row], [])["score"]
    assert math.isnan(value)


def test_ms_ssim_is_one_of_equal_photos_and_falls_with_the_hole() -> None:
    metric = MsSsim(threshold=0.5)
    same = linear_probe(176, filler=IdentityFiller())
    assert metric.per_image(marked(same, left_half(176)), same)["score"] == pytest.approx(1)
    probe = linear_probe(176, filler=ConstantFiller(0.5))
    corner = torch.zeros(176, 176)
    corner[:40, :40] = 1
    small = metric.per_image(marked(probe, corner), probe)["score"]
    large = metric.per_image(marked(probe, left_half(176)), probe)["score"]
    assert 0 < large < small < 1


def test_ms_ssim_of_a_uniform_shift_is_the_formulas() -> None:
    """Only the luminance of the coarsest scale changes: 2ab + c over a2 + b2 + c, to its weight."""
    size, dark, bright = 176, 0.4, 0.6
    flat = replace(photo(size), image=torch.full((3, size, size), dark))
    classifier = LinearClassifier(torch.zeros(3, size, size))
    probe = Probe(flat, 0, classifier, ConstantFiller(bright))
    constant = 0.01**2
    luminance = (2 * dark * bright + constant) / (dark**2 + bright**2 + constant)
    found = MsSsim(0.5).per_image(marked(probe, torch.ones(size, size)), probe)["score"]
    assert found == pytest.approx(luminance**0.1333, abs=1e-4)


def test_what_remains_is_the_probability_of_the_photo_without_the_marked_part() -> None:
    probe = linear_probe(12, filler=ConstantFiller(0.0))
    part = left_half(12)
    rest = probe.image * (1 - part)
    expected = probe.scorer.classifier(rest[None]).softmax(1)[0, probe.target]
    row = Remains(threshold=0.5).per_image(marked(probe, part), probe)
    assert row == {"probability": pytest.approx(float(expected))}


def test_ms_ssim_refuses_small_images() -> None:
    with pytest.raises(UserError, match="needs images of 161 pixels; these have 160"):
        MsSsim(0.5).calls(160)


@pytest.mark.skipif(find_spec("lpips") is None, reason="needs lpips")
def test_lpips_is_zero_of_equal_photos_alone() -> None:
    metric = Lpips(threshold=0.5, weights=None)
    same = linear_probe(64, filler=IdentityFiller())
    assert metric.per_image(marked(same, left_half(64)), same)["score"] == 0
    probe = linear_probe(64, filler=ConstantFiller(0.5))
    assert metric.per_image(marked(probe, left_half(64)), probe)["score"] > 0


@pytest.mark.skipif(find_spec("lpips") is None, reason="needs lpips")
def test_lpips_takes_the_weights_of_torchvisions_alexnet() -> None:
    """The distance by hand: unit features, squared difference, linear weights, mean over places."""
    from torchvision.models import alexnet

    from genattr.metric.lpips import load_features

    torch.manual_seed(1)
    backbone = alexnet(weights=None).eval()
    network = Lpips(threshold=0.5, weights=None).network
    load_features(network, backbone.state_dict())
    first, second = torch.rand(2, 1, 3, 64, 64)
    shift = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
    maps, total = [(2 * one - 1 - shift) / scale for one in (first, second)], 0.0
    taken = {1: 0, 4: 1, 7: 2, 9: 3, 11: 4}
    with torch.no_grad():
        for index, layer in enumerate(backbone.features):
            maps = [layer(one) for one in maps]
            if index in taken:
                unit = [functional.normalize(one, dim=1) for one in maps]
                linear = getattr(network, f"lin{taken[index]}").model[1].weight
                total += float(((unit[0] - unit[1]) ** 2 * linear).sum(dim=1).mean())
        found = float(network(first, second, normalize=True))
    assert found == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.5])
def test_a_wrong_threshold_is_refused(threshold: float) -> None:
    with pytest.raises(UserError, match="above 0 and at most 1"):
        MsSsim(threshold)
