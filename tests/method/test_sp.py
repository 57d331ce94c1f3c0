"""Sliding-Patch against Captum's Occlusion and closed forms."""

from __future__ import annotations

import pytest
import torch
from captum.attr import Occlusion

from genattr.errors import UserError
from genattr.method.sp import SlidingPatch, windows
from tests.conftest import ConstantFiller, IdentityFiller, NoiseFiller, linear_probe


def sp(patch_size: int = 4, stride: int = 4, upsample: str = "stretch") -> SlidingPatch:
    return SlidingPatch(patch_size, stride, upsample, "full", 0.01, 0.333, requires_inpainter=False)


def test_equals_captum_on_shared_windows() -> None:
    probe = linear_probe(size=12, filler=ConstantFiller(0.2))
    classifier = probe.scorer.classifier
    reference = Occlusion(lambda images: classifier(images).softmax(1)[:, 1]).attribute(
        probe.image[None], sliding_window_shapes=(3, 4, 4), strides=(3, 4, 4), baselines=0.2
    )
    ours = sp(patch_size=4, stride=4).explain(probe)
    assert torch.allclose(ours.values, reference[0, 0, ::4, ::4].float(), atol=1e-6)


def test_windows_are_all_that_fit_row_by_row() -> None:
    holes = windows(5, 3, 2)
    assert holes.boxes.tolist() == [[0, 0, 3, 3], [2, 0, 5, 3], [0, 2, 3, 5], [2, 2, 5, 5]]
    assert len(windows(224, 29, 3)) == 66 * 66


def test_identity_filler_gives_a_zero_map() -> None:
    heatmap = sp().explain(linear_probe(filler=IdentityFiller()))
    assert (heatmap.values == 0).all()


@pytest.mark.parametrize("filler", [ConstantFiller(), NoiseFiller()])
def test_batch_size_moves_nothing_beyond_float_noise(filler: object) -> None:
    maps = [sp(3, 1).explain(linear_probe(filler=filler, batch_size=b)).values for b in (1, 7, 64)]
    assert torch.allclose(maps[0], maps[1], atol=1e-5)
    assert torch.allclose(maps[0], maps[2], atol=1e-5)


def test_centered_puts_each_value_on_its_window() -> None:
    heatmap = sp(patch_size=3, stride=3, upsample="centered").explain(linear_probe(size=12))
    image = heatmap.to_image(12)
    assert torch.allclose(image[1::3, 1::3], heatmap.values, atol=1e-6)
    assert torch.allclose(image[0], image[1])  # beyond the outermost center: its value
    halfway = (2 * heatmap.values[0, 0] + heatmap.values[0, 1]) / 3
    assert torch.allclose(image[1, 2], halfway, atol=1e-6)


def test_stretch_is_the_bilinear_resize_of_the_cells() -> None:
    heatmap = sp(patch_size=4, stride=2).explain(linear_probe(size=12))
    expected = torch.nn.functional.interpolate(
        heatmap.values[None, None], (12, 12), mode="bilinear"
    )
    assert torch.equal(heatmap.to_image(12), expected[0, 0])


def test_a_patch_larger_than_the_image_is_refused() -> None:
    with pytest.raises(UserError, match=r"method\.patch_size=13.*12 pixels"):
        sp(patch_size=13).calls(12)
