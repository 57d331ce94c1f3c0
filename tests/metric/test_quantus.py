"""Metrics of Quantus through a probe, against Quantus called by hand and closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

quantus = pytest.importorskip("quantus")

from genattr.errors import UserError  # noqa: E402
from genattr.method.sp import SlidingPatch  # noqa: E402
from genattr.metric.quantus import Probabilities, Quantus, _mask, names  # noqa: E402
from genattr.probe import Probe  # noqa: E402
from tests.conftest import ConstantFiller, photo  # noqa: E402
from tests.method import hooked_toys as toys  # noqa: E402

CPU = torch.device("cpu")
SP = SlidingPatch(6, 6, "stretch", "full", 0.01, 0.333, requires_inpainter=False)
SMALL = {"features_in_step": 96, "nr_runs": 5, "nr_samples": 2, "nr_steps": 3, "subset_size": 50}
OTHERS = {
    "Infidelity": {"perturb_patch_sizes": [4], "n_perturb_samples": 3},
    "RegionPerturbation": {"patch_size": 4, "regions_evaluation": 5},
    "TopKIntersection": {"k": 50},
}
BROKEN = ("IROF", "NonSensitivity", "ROAD")  # of Quantus 0.6, for images of three channels


def probe(**options: Any) -> Probe:
    sample = photo(toys.SIZE, label=2, boxes=torch.tensor([[3.0, 3, 12, 12]]))
    return Probe(sample, 2, toys.classifier(), ConstantFiller(), batch_size=8, **options)


def small(name: str) -> Quantus:
    known = Quantus(name, None)._given
    options = {key: value for key, value in SMALL.items() if key in known} | OTHERS.get(name, {})
    return Quantus(name, options or None)


@pytest.mark.parametrize("name", [name for name in names() if name not in BROKEN])
def test_each_scores_and_repeats_itself(name: str) -> None:
    metric = small(name)
    metric.check(toys.classifier(), CPU)
    heatmap = SP.explain(probe())
    counted = probe()
    row = metric.scores(heatmap, counted, SP)
    np.testing.assert_equal(row, metric.scores(heatmap, probe(), SP))
    assert row[name] is None or np.isfinite(row[name])
    assert metric.direction == getattr(quantus, name).score_direction.value
    assert counted.counts.scored <= metric.explanations * (SP.calls(toys.SIZE) + 1)
    assert toys.hooks_of(counted.network) == 0


def test_it_gives_what_quantus_gives() -> None:
    heatmap = SP.explain(probe())
    values = heatmap.to_image(toys.SIZE)
    network = Probabilities(probe().classifier).eval()
    expected = quantus.PixelFlipping(96, perturb_baseline="black", disable_warnings=True)(
        model=network, x_batch=probe().image[None].numpy(), y_batch=np.array([2]),
        a_batch=values[None, None].numpy(), channel_first=True, softmax=False, device="cpu",
    )[0]  # fmt: skip
    options = {"features_in_step": 96, "perturb_baseline": "black"}
    row = Quantus("PixelFlipping", options).scores(heatmap, probe(), SP)
    assert row["PixelFlipping_curve"] == pytest.approx(list(expected))
    assert row["PixelFlipping"] == pytest.approx(np.mean(expected))


def test_the_network_is_the_classifiers_probabilities() -> None:
    images = torch.rand(2, 3, toys.SIZE, toys.SIZE)
    of = toys.classifier()
    assert torch.allclose(Probabilities(of)(images), of.probabilities(of(images)))


def test_entropy_and_pointing_game_have_closed_forms() -> None:
    heatmap = SP.explain(probe())
    values = np.abs(heatmap.to_image(toys.SIZE).numpy().ravel())
    shares = values / values.sum()
    entropy = -(shares * np.log(shares)).sum()
    found = Quantus("Complexity", {"normalise": False}).per_image(heatmap, probe())
    assert found["Complexity"] == pytest.approx(entropy, rel=1e-4)
    largest = np.unravel_index(heatmap.to_image(toys.SIZE).argmax(), (toys.SIZE, toys.SIZE))
    inside = all(3 <= place < 12 for place in largest)
    found = Quantus("PointingGame", {"abs": False}).per_image(heatmap, probe())
    assert found["PointingGame"] == float(inside)


def test_a_map_that_is_wrong_for_the_metric_is_undefined() -> None:
    heatmap = SP.explain(probe())
    flat = SP.explain(probe())
    flat.values.fill_(0.5)
    assert Quantus("Complexity", None).per_image(flat, probe()) == {"Complexity": None}
    other = Probe(photo(toys.SIZE, label=1), 2, toys.classifier(), ConstantFiller())
    assert Quantus("PointingGame", None).per_image(heatmap, other) == {"PointingGame": None}
    assert Quantus("PointingGame", None).needs_boxes
    assert np.isnan(Quantus("AUC", None).aggregate([{"AUC": None}], [])["AUC"]).all()


def test_the_mask_is_the_labeled_boxes() -> None:
    boxes = torch.tensor([[3.2, 3, 11.6, 9], [20, 2, 22, 4]])
    expected = np.zeros((1, 1, toys.SIZE, toys.SIZE), dtype=bool)
    expected[0, 0, 3:9, 3:12] = True
    expected[0, 0, 2:4, 20:22] = True
    sample = photo(toys.SIZE, label=2, boxes=boxes)
    of = Probe(sample, 2, toys.classifier(), ConstantFiller())
    np.testing.assert_array_equal(_mask(of, 2), expected)
    assert _mask(of, 1) is None


def test_what_explains_again_needs_the_method() -> None:
    with pytest.raises(UserError, match=r"MaxSensitivity explains again, and there is no method"):
        Quantus("MaxSensitivity", None).per_image(SP.explain(probe()), probe())


def test_random_layers_reach_the_explained_network() -> None:
    before = {k: v.clone() for k, v in toys.classifier().network.state_dict().items()}
    counted = probe()
    row = small("MPRT").scores(SP.explain(probe()), counted, SP)
    assert len(set(row["MPRT_curve"])) > 1
    after = counted.network.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("FaithfulnesCorrelation", None, "no such name in quantus; did you mean Faithfulness"),
        ("Focus", None, r"^metric\.name=Focus: no such name in quantus"),
        (
            "PixelFlipping",
            {"feature_in_step": 3},
            r"^metric\.options\.feature_in_step: no such opt",
        ),
        ("IROF", {"perturb_func": "baseline"}, r"perturb_func=baseline: no such function in Quant"),
        ("PixelFlipping", {"aggregate_func": "meen"}, r"no such function in Quantus; did you mean"),
    ],
)
def test_wrong_names_and_options_are_told(name: str, options: Any, told: str) -> None:
    with pytest.raises(UserError, match=told):
        Quantus(name, options).check(toys.classifier(), CPU)


def test_values_of_another_type_are_refused() -> None:
    with pytest.raises(UserError, match=r"^metric\.name=5: it should be a valid string"):
        Quantus(5, None)
    with pytest.raises(UserError, match=r"^metric\.options=x: it should be a valid dictionary"):
        Quantus("Complexity", "x")


def test_what_is_no_metric_of_one_photo_is_none_to_choose() -> None:
    assert {"Complexity", "MPRT", "PixelFlipping"} <= {*names()}
    for name in (
        *("BatchSufficiency", "Consistency", "SensitivityN", "Sufficiency"),
        *("Focus", "InputInvariance", "Metric", "ModelParameterRandomisation"),
    ):
        assert name not in names()


@pytest.mark.parametrize("option", ["disable_warnings", "display_progressbar"])
def test_options_that_are_not_the_users_to_give_are_refused(option: str) -> None:
    with pytest.raises(UserError, match=rf"^metric\.options\.{option}: no such option"):
        Quantus("Complexity", {option: True})


def soft() -> torch.nn.Module:
    return torch.nn.Sequential(toys.Striped(), torch.nn.Softmax(1))


def test_a_softmax_of_the_network_is_not_the_last_module_that_quantus_sees() -> None:
    of = toys.classifier(path=f"{__name__}:soft", outputs="probabilities")
    assert isinstance([*of.network.modules()][-1], torch.nn.Softmax)
    assert isinstance([*Probabilities(of).modules()][-1], torch.nn.Identity)
