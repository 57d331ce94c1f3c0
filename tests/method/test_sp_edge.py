"""Sliding-Patch where the stride does not lead to the edge: the last window is flush with it."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from captum.attr import Occlusion
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from genattr.method import adaptive
from genattr.method.base import Method
from genattr.method.sp import SlidingPatch, windows
from genattr.metric.drift import Drift
from genattr.probe import Probe
from genattr.store.heatmaps import heatmap_key
from genattr.types import Heatmap, Placement
from tests.conftest import ConstantFiller, linear_probe, photo
from tests.method.test_sp import sp

GRIDS = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 45)).map(
    lambda sides: (max(sides[:2]), min(sides[:2]), sides[2])
)


def slow_map(probe: Probe, patch_size: int, stride: int) -> Tensor:
    """Slide a patch, pushed back into the photo where it would leave it."""
    last = probe.size - patch_size
    places = [min(k * stride, last) for k in range(math.ceil(last / stride) + 1)]
    values = torch.zeros(len(places), len(places))
    for row, y in enumerate(places):
        for column, x in enumerate(places):
            image = probe.image.clone()
            image[:, y : y + patch_size, x : x + patch_size] = 0
            values[row, column] = probe.original - probe.prob(image[None])[0]
    return values


def centers(size: int, patch_size: int, stride: int) -> list[float]:
    boxes = windows(size, patch_size, stride).boxes
    return [(x0 + x1) / 2 for x0, _, x1, _ in boxes[: round(len(boxes) ** 0.5)].tolist()]


def captum_map(probe: Probe, flips: Sequence[int]) -> Tensor:
    """Return Captum's map of a photo that is mirrored along some axes, by pixel."""
    axes = [axis + 2 for axis in flips]
    classifier = probe.scorer.classifier
    found = Occlusion(lambda images: classifier(images.flip(axes)).softmax(1)[:, 1]).attribute(
        probe.image[None].flip(axes),
        sliding_window_shapes=(3, 4, 4),
        strides=(3, 4, 4),
        baselines=0.0,
    )
    return found[0, 0].float()


@given(GRIDS)
def test_the_windows_of_a_grid(grid: tuple[int, int, int]) -> None:
    size, patch_size, stride = grid
    holes = windows(size, patch_size, stride)
    n = sp(patch_size, stride).cells(size)
    assert n == math.ceil((size - patch_size) / stride) + 1
    assert len(holes) == len({tuple(box) for box in holes.boxes.tolist()}) == n**2
    assert holes.boxes.min() == 0
    assert holes.boxes.max() == size
    hidden = holes.expand(slice(None)).any(0)[0]
    if stride <= patch_size:
        assert hidden.all()


@pytest.mark.parametrize(("size", "patch_size", "stride"), [(12, 5, 3), (11, 3, 3), (9, 4, 7)])
def test_values_are_those_of_a_loop_over_places(size: int, patch_size: int, stride: int) -> None:
    probe = linear_probe(size=size)
    found = sp(patch_size, stride).explain(probe)
    assert torch.allclose(found.values, slow_map(probe, patch_size, stride), atol=1e-6)
    assert found.n_scored == sp(patch_size, stride).calls(size)


def test_a_patch_as_large_as_the_photo_is_one_window() -> None:
    probe = linear_probe(size=12)
    found = sp(12, 5).explain(probe)
    everything = probe.original - float(probe.prob(torch.zeros(1, 3, 12, 12))[0])
    assert found.values.tolist() == [[pytest.approx(everything, abs=1e-6)]]
    assert torch.allclose(found.to_image(12), found.values)


def test_equals_captum_from_every_edge() -> None:
    """Captum's last windows are cut off at the edge; on the mirrored photo, its first are flush."""
    probe = linear_probe(size=14)
    ours = sp(patch_size=4, stride=4).explain(probe).values
    assert ours.shape == (4, 4)
    for flips in ([], [0], [1], [0, 1]):
        found = captum_map(probe, flips)[:12:4, :12:4]
        mirrored = ours.flip(flips)
        rows, columns = ([0] if axis in flips else [0, 1, 2] for axis in (0, 1))
        for row in rows:
            for column in columns:
                assert mirrored[row, column] == pytest.approx(float(found[row, column]), abs=1e-6)


@pytest.mark.parametrize("upsample", ["stretch", "centered"])
def test_a_slope_stays_a_slope(upsample: str) -> None:
    """Values that grow with the windows' places are linear in the image between the centers."""
    size, patch_size, stride = 31, 4, 5
    method = sp(patch_size, stride, upsample)
    place = torch.tensor(centers(size, patch_size, stride))
    values = place[:, None] + 2 * place
    heatmap = Heatmap(values, (-1, 1), method.placement(size), "a", 0, 0.0, 1, 1)
    image = heatmap.to_image(size)
    pixel = np.arange(size) + 0.5
    if upsample == "centered":
        at = np.interp(pixel, place, place)
    else:
        even = np.linspace(place[0], place[-1], len(place))
        cells = (np.arange(len(place)) + 0.5) * size / len(place)
        at = np.interp(pixel, cells, even)
    assert np.allclose(image, at[:, None] + 2 * at, atol=1e-4)


@given(GRIDS)
def test_centered_values_are_found_at_their_windows(grid: tuple[int, int, int]) -> None:
    size, patch_size, stride = grid
    place = np.array(centers(size, patch_size, stride))
    values = torch.rand(len(place), len(place), generator=torch.Generator().manual_seed(0))
    method = sp(patch_size, stride, "centered")
    image = Heatmap(values, (-1, 1), method.placement(size), "a", 0, 0.0, 1, 1).to_image(size)
    pixel = np.arange(size) + 0.5
    across = np.array([np.interp(pixel, place, row) for row in values.numpy()])
    expected = np.array([np.interp(pixel, place, column) for column in across.T]).T
    assert np.allclose(image, expected, atol=1e-4)


@pytest.mark.parametrize("upsample", ["stretch", "centered"])
def test_where_the_stride_divides_the_placement_says_nothing_new(upsample: str) -> None:
    place = sp(29, 3, upsample).placement(224)
    assert place == (Placement() if upsample == "stretch" else Placement("bilinear", 14.5, 3.0))


def test_only_grids_with_a_moved_window_have_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def keys() -> list[str]:
        classifier = linear_probe(size=12).scorer.classifier
        return [
            heatmap_key(photo(12), 1, classifier, ConstantFiller(), sp(4, stride), 0)
            for stride in (2, 3, 4, 5)
        ]

    found = keys()
    monkeypatch.setattr(SlidingPatch, "reads", Method.reads)
    assert [now == then for now, then in zip(found, keys(), strict=True)] == [
        True, False, True, False,
    ]  # fmt: skip


def test_the_adaptive_search_interpolates_between_true_places() -> None:
    place = torch.arange(31.0)
    place[-1] = 29.25
    slope = (place[:, None] + 2 * place) / 100
    looked = adaptive.search(lambda cells: slope.flatten()[cells], 31, 0.0, 1 / 3, 0.25)
    assert (looked - slope)[1:, 1:].abs().max() < 0.01
    probe = linear_probe(size=24)
    full = sp(3, 2).explain(probe)
    method = replace(sp(3, 2), search="adaptive", tolerance=0.0, budget=1.0)
    assert torch.allclose(method.explain(probe).values, full.values, atol=1e-6)


def test_drift_averages_over_the_same_windows() -> None:
    assert Drift(5, 3).calls(12) == len(windows(12, 5, 3)) == 16


def test_gaps_between_windows_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    method = sp(patch_size=3, stride=11)
    with caplog.at_level(logging.WARNING):
        method.calls(25)
        method.calls(25)
        sp(patch_size=3, stride=3).calls(26)
    hidden = windows(25, 3, 11).expand(slice(None)).any(0)
    share = 100 * (1 - float(hidden.float().mean()))
    assert caplog.messages == [
        f"method.stride=11 is larger than method.patch_size=3: {share:.0f} % of every photo is "
        "never hidden"
    ]
