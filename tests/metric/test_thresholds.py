"""Localization and the saliency metric on boxes computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from genattr.errors import UserError
from genattr.metric.localization import Localization, overlaps
from genattr.metric.saliency import Saliency
from genattr.metric.thresholds import ALPHAS, boxes_at_alphas
from genattr.probe import Probe
from genattr.types import Heatmap, Placement
from tests.conftest import ConstantFiller, LinearClassifier, photo


def steps() -> torch.Tensor:
    """A 10 x 10 map: a 2 x 3 core of 1.0 in a 6 x 5 block of 0.5, a lone 0.3 and a negative."""
    values = torch.zeros(10, 10)
    values[2:8, 3:8] = 0.5
    values[4:6, 4:7] = 1.0
    values[9, 0] = 0.3
    values[0, 9] = -1.0
    return values


def at(alpha: float) -> int:
    return ALPHAS.index(alpha)


def test_boxes_by_hand() -> None:
    boxes = boxes_at_alphas(steps(), "all").tolist()
    assert boxes[at(0.0)] == [0, 0, 10, 10]
    assert boxes[at(0.25)] == [0, 2, 8, 10]
    assert boxes[at(0.35)] == [3, 2, 8, 8]
    assert boxes[at(0.5)] == [3, 2, 8, 8]
    assert boxes[at(0.55)] == [4, 4, 7, 6]


def test_largest_component_leaves_the_lone_pixel_out() -> None:
    boxes = boxes_at_alphas(steps(), "largest").tolist()
    assert boxes[at(0.25)] == [3, 2, 8, 8]
    boxes = boxes_at_alphas(steps().flip(0), "largest").tolist()  # the lone pixel comes first
    assert boxes[at(0.25)] == [3, 2, 8, 8]


@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_a_map_in_other_units_has_the_same_boxes(factor: float) -> None:
    boxes, others = (boxes_at_alphas(values, "all") for values in (steps(), steps() * factor))
    assert torch.equal(boxes, others)


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0])
def test_a_constant_map_is_the_whole_image(value: float) -> None:
    boxes = boxes_at_alphas(torch.full((6, 6), value), "all")
    assert (boxes == torch.tensor([0, 0, 6, 6])).all()


def test_overlaps_are_torchvisions() -> None:
    draws = torch.Generator().manual_seed(0)
    corners = torch.randint(0, 300, (60, 2, 2), generator=draws).sort(dim=1).values.float()
    boxes = corners.flatten(1)
    first, second = boxes[:40] + 0.3, boxes[40:]
    assert torch.equal(overlaps(first, second), box_iou(first, second))
    assert (overlaps(first, second) > 0).any()


def probe_with(boxes: list[list[float]] | None, label: int | None = 1) -> Probe:
    sample = photo(10, boxes=None if boxes is None else torch.tensor(boxes), label=label)
    weights = torch.linspace(-1, 1, 300).view(3, 10, 10)
    return Probe(sample, 1, LinearClassifier(weights), ConstantFiller(), batch_size=8)


def heatmap(values: torch.Tensor, target: int = 1) -> Heatmap:
    return Heatmap(values, (-1, 1), Placement(), "noise0", target, 0.5, 0, 0)


def test_iou_is_the_best_over_the_objects_boxes() -> None:
    metric = Localization(alpha=0.5, component="all")
    row = metric.per_image(heatmap(steps()), probe_with([[0, 0, 1, 1], [3, 2, 8, 5]]))
    assert row["iou"][at(0.5)] == pytest.approx(15 / 30)
    assert row["iou"][at(0.55)] == pytest.approx(3 / 18)  # core rows 4..5 meet rows up to 5
    assert row["iou"][at(0.0)] == pytest.approx(15 / 100)


def test_error_counts_iou_below_one_half() -> None:
    metric = Localization(alpha=0.5, component="all")
    iou = [[0.5] * 20, [0.49] * 20, None]
    result = metric.aggregate([{"iou": one} for one in iou], [])
    assert result["error"][:2] == [0.0, 1.0]
    assert math.isnan(result["error"][2])
    assert (result["alpha"], result["alpha_chosen_on_held_out"]) == (0.5, 0.0)


def test_alpha_is_the_smallest_best_on_held_out_photos() -> None:
    metric = Localization(alpha=0.5, component="all")
    good = [0.0] * 20
    good[at(0.3)] = good[at(0.7)] = 0.9
    result = metric.aggregate([{"iou": [0.9] * 20}], [{"iou": good}, {"iou": None}])
    assert (result["alpha"], result["alpha_chosen_on_held_out"]) == (0.3, 1.0)


@pytest.mark.parametrize(("boxes", "label", "target"), [(None, 1, 1), ([[0, 0, 5, 5]], 0, 1)])
def test_undefined_without_boxes_of_the_target(boxes: object, label: int, target: int) -> None:
    metric = Localization(alpha=0.5, component="all")
    assert metric.per_image(heatmap(steps(), target), probe_with(boxes, label)) == {"iou": None}


def test_saliency_by_hand() -> None:
    probe = probe_with(None)
    row = Saliency(alpha=0.5, component="all").per_image(heatmap(steps()), probe)

    def expected(x0: int, y0: int, x1: int, y1: int) -> float:
        crop = torch.nn.functional.interpolate(
            probe.image[None, :, y0:y1, x0:x1], (10, 10), mode="bilinear", align_corners=False
        )
        area = (x1 - x0) * (y1 - y0) / 100
        return math.log(max(area, 0.05)) - math.log(float(probe.prob(crop)[0]))

    assert row["saliency"][at(0.0)] == pytest.approx(-math.log(probe.original), abs=1e-5)
    assert row["saliency"][at(0.5)] == pytest.approx(expected(3, 2, 8, 8), abs=1e-5)
    assert row["saliency"][at(0.55)] == pytest.approx(expected(4, 4, 7, 6), abs=1e-5)


def test_saliency_of_a_classifier_that_gives_nan_is_told() -> None:
    probe = probe_with(None)
    probe.scorer.classifier.weights.fill_(math.nan)
    with pytest.raises(UserError, match=r"^the classifier gives NaN for noise0"):
        Saliency(alpha=0.5, component="all").per_image(heatmap(steps()), probe)


def test_small_boxes_count_as_five_percent_and_probability_is_floored() -> None:
    values = torch.zeros(10, 10)
    values[5, 5] = 1
    probe = probe_with(None)
    probe.scorer.classifier.weights.fill_(-1e4)
    row = Saliency(alpha=0.5, component="all").per_image(heatmap(values), probe)
    assert row["saliency"][at(0.5)] == pytest.approx(math.log(0.05) - math.log(1e-12))


def test_curve_is_the_mean_over_defined_photos() -> None:
    metric = Saliency(alpha=0.5, component="all")
    curve = metric.curve([{"saliency": [1.0] * 20}, {"saliency": None}, {"saliency": [3.0] * 20}])
    assert np.allclose(curve, 2.0)


def test_a_photo_keeps_its_losses_at_alpha() -> None:
    rows = [{"saliency": [float(at) for at in range(20)]}, {"saliency": None}]
    result = Saliency(alpha=0.15, component="all").aggregate(rows, [])
    assert result["score"] == pytest.approx([3.0, math.nan], nan_ok=True)
    assert (result["alpha"], result["alpha_chosen_on_held_out"]) == (0.15, 0.0)
