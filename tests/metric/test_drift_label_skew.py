"""Patches outside the box, and what samples are taken for."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from genattr.errors import UserError
from genattr.method.lime import Lime
from genattr.metric.drift import Drift, touching
from genattr.metric.label_skew import LabelSkew
from genattr.probe import Probe
from genattr.protocols import Classifier
from genattr.segmentation.slic import Slic
from genattr.types import Holes
from tests.conftest import ConstantFiller, LinearClassifier, linear_probe, photo

CORNERS = st.integers(0, 10)
BOX = st.tuples(CORNERS, CORNERS, CORNERS, CORNERS).map(
    lambda c: (min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]) + 1, max(c[1], c[3]) + 1)
)


def pixels(box: tuple[int, ...]) -> set[tuple[int, int]]:
    x0, y0, x1, y1 = box
    return {(x, y) for x in range(x0, x1) for y in range(y0, y1)}


@given(st.lists(BOX, min_size=1, max_size=5), st.lists(BOX, min_size=1, max_size=3))
def test_touching_boxes_share_pixels(
    patches: list[tuple[int, ...]], boxes: list[tuple[int, ...]]
) -> None:
    covered = set().union(*map(pixels, boxes))
    found = touching(torch.tensor(patches), torch.tensor(boxes).float())
    assert found.tolist() == [bool(pixels(patch) & covered) for patch in patches]


def probe_with_box(box: list[float] | None) -> Probe:
    boxes = None if box is None else torch.tensor([box])
    weights = torch.randn(3, 12, 12, generator=torch.Generator().manual_seed(5)) / 5
    sample = photo(12, boxes=boxes)
    return Probe(sample, 1, LinearClassifier(weights), ConstantFiller(0.0), batch_size=8)


def test_drift_is_the_mean_change_over_the_patches_that_miss_the_box() -> None:
    probe = probe_with_box([0.0, 0.0, 6.0, 12.0])
    heatmap = probe.heatmap(torch.zeros(12, 12), (0, 1))
    changes = []
    for y in range(0, 9, 2):
        for x in range(0, 9, 2):
            if x >= 6:
                image = probe.image.clone()
                image[:, y : y + 4, x : x + 4] = 0
                changes.append(abs(float(probe.prob(image[None])) - heatmap.score))
    row = Drift(patch_size=4, stride=2).per_image(heatmap, probe)
    assert row["patches"] == len(changes) == 10
    assert row["change"] == pytest.approx(sum(changes) / len(changes), rel=1e-5)


@pytest.mark.parametrize("box", [None, [0.0, 0.0, 12.0, 12.0]])
def test_drift_is_undefined_where_no_patch_misses_a_box(box: list[float] | None) -> None:
    probe = probe_with_box(box)
    row = Drift(4, 2).per_image(probe.heatmap(torch.zeros(12, 12), (0, 1)), probe)
    assert row == {"change": None, "patches": 0}
    (value,) = Drift(4, 2).aggregate([row], [])["change"]
    assert math.isnan(value)


def test_drift_of_another_class_is_undefined() -> None:
    probe = probe_with_box([0.0, 0.0, 6.0, 12.0])
    heatmap = replace(probe.heatmap(torch.zeros(12, 12), (0, 1)), target=0)
    assert Drift(4, 2).per_image(heatmap, probe)["change"] is None


def test_the_skew_looks_at_the_very_samples_of_lime() -> None:
    seen: list[Tensor] = []

    class Watching(Probe):
        def score(self, holes: Holes) -> Tensor:
            seen.append(holes.removed)
            return super().score(holes)

    sample = photo(24)
    weights = torch.randn(3, 24, 24, generator=torch.Generator().manual_seed(2)) / 4
    probe = Watching(sample, 1, LinearClassifier(weights), ConstantFiller(0.3), batch_size=8)
    lime = Lime(6, 30, 30, 3, "cosine_bits", "ridge", False, Slic())
    heatmap = lime.explain(probe)
    labels = LabelSkew(30, 6, 30, 3).per_image(heatmap, probe)["labels"]
    (removed,) = seen
    assert len(labels) == len(removed) == 30
    assert labels[0] == int(probe.original > 0.5)
    from genattr.ops.superpixels import superpixels

    segments = superpixels(sample.image, 6, 30, 3)
    for bits, label in zip(removed, labels, strict=True):
        image = torch.where(bits[segments], 0.3, sample.image)
        assert label == int((image * weights).sum() > 0)


def test_the_share_is_that_of_the_three_most_frequent_classes_of_all_photos() -> None:
    rows = [{"labels": [7, 7, 7, 1]}, {"labels": [2, 2, 3, 4]}, {"labels": [3, 4, 5, 6]}]
    assert LabelSkew(2, 2, 10, 0).histogram(rows)[:4] == [(7, 3), (2, 2), (3, 2), (4, 2)]
    shares = LabelSkew(4, 6, 30, 3).aggregate(rows, [])["top3"]
    assert shares == [0.75, 0.75, 0.25]


def test_classes_that_are_as_frequent_come_by_number() -> None:
    rows = [{"labels": [4, 4, 3, 3]}, {"labels": [2, 2, 9]}]
    assert LabelSkew(2, 2, 10, 0).histogram(rows) == [(2, 2), (3, 2), (4, 2), (9, 1)]


def test_wrong_values_are_refused() -> None:
    with pytest.raises(UserError, match="patch_size=0: must be at least 1"):
        Drift(0, 1)
    with pytest.raises(UserError, match="the images have 12 pixels"):
        Drift(13, 1).calls(12)
    with pytest.raises(UserError, match="n_samples=1"):
        LabelSkew(1, 6, 30, 3)


def test_equal_photos_have_no_drift() -> None:
    probe = linear_probe(12)
    sample = replace(
        probe.sample, boxes=torch.tensor([[0.0, 0.0, 2.0, 2.0]]), image=probe.image * 0
    )
    black = Probe(sample, 1, probe.scorer.classifier, ConstantFiller(0.0), batch_size=8)
    row = Drift(4, 2).per_image(black.heatmap(torch.zeros(12, 12), (0, 1)), black)
    assert row["change"] == 0


def test_label_skew_pads_its_batches() -> None:
    probe = linear_probe(12)
    sizes: list[int] = []
    classifier = probe.scorer.classifier

    class Watched(Classifier):
        labels = classifier.labels

        def __call__(self, images: torch.Tensor) -> torch.Tensor:
            sizes.append(len(images))
            return classifier(images)

    probe.scorer.classifier = Watched()
    heatmap = probe.heatmap(torch.zeros(2, 2), (0.0, 1.0))
    labels = LabelSkew(11, 4, 10, 0).per_image(heatmap, probe)["labels"]
    assert len(labels) == 11
    assert sorted(sizes) == [1, 4, 8]  # the untouched photo; 11 samples
