"""The sanity check by random weights, where its answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from genattr.classifier.callable import CallableClassifier
from genattr.classifier.precision import Sixteen
from genattr.classifier.redraw import redrawn, spread, weighted_layers
from genattr.errors import UserError
from genattr.method.center import Center
from genattr.method.sp import SlidingPatch
from genattr.metric.randomization import Randomization
from tests.conftest import LinearClassifier
from tests.method import hooked_toys as toys

CPU = torch.device("cpu")
SP = SlidingPatch(6, 3, "stretch", "full", 0.01, 0.333, requires_inpainter=False)
D = toys.SIZE


def linear() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * D * D, 2))


def linear_classifier() -> CallableClassifier:
    name = f"{__name__}:linear"
    return CallableClassifier(
        path=name, input_size=D, mean=[0.0], std=[1.0], outputs="logits", labels=None
    )


def scores(method: Any, of: Any, **changes: Any) -> dict[str, Any]:
    metric = Randomization(**({"order": "cascading", "steps": 3, "seed": 0} | changes))
    metric.check(of, CPU)
    probe = toys.probe(of, target=1, explain="logit")
    return metric.scores(method.explain(probe), probe, method)


def test_a_method_that_ignores_the_network_stays_the_same() -> None:
    row = scores(Center(), toys.classifier())
    for name in ("spearman", "spearman_absolute", "ssim"):
        assert row[name] == pytest.approx(1)
        assert row[f"{name}_curve"] == pytest.approx([1, 1, 1])
    assert row["depth"] == [1 / 3, 2 / 3, 1]


def test_a_linear_models_map_is_that_of_the_weights_that_were_drawn() -> None:
    of = linear_classifier()
    row = scores(SP, of)
    probe = toys.probe(of, target=1)
    drawn = redrawn(of.network, ["1"], 0)[1].weight

    def by_hand(weights: torch.Tensor) -> np.ndarray:
        """Return what black windows of 6 pixels, every 3, cost of the logit."""
        parts = (weights[1].view(3, D, D) * probe.image).sum(0)
        cells = torch.nn.functional.avg_pool2d(parts[None, None], 6, 3) * 36
        size = (D, D)
        return torch.nn.functional.interpolate(cells, size, mode="bilinear")[0, 0].flatten()

    maps = [by_hand(weights).detach().numpy() for weights in (of.network[1].weight, drawn)]
    assert row["depth"] == [1]
    assert row["spearman"] == pytest.approx(spearmanr(*maps).statistic, abs=1e-3)
    assert row["spearman_absolute"] == pytest.approx(spearmanr(*map(abs, maps)).statistic, abs=1e-3)
    assert abs(row["spearman"]) < 0.5


def test_the_network_stays_as_it_was_and_the_scores_repeat() -> None:
    of = toys.classifier()
    before = {key: value.clone() for key, value in of.network.state_dict().items()}
    first = scores(SP, of)
    assert first == scores(SP, of)
    assert first != scores(SP, of, seed=1)
    assert all(torch.equal(value, before[key]) for key, value in of.network.state_dict().items())
    assert toys.hooks_of(of.network) == 0


def test_layers_are_random_one_after_the_other_or_one_alone() -> None:
    network = toys.Striped()
    image = torch.zeros(1, 3, D, D)
    assert weighted_layers(network, lambda: network(image)) == ["first", "second", "head"]
    row = Randomization("independent", 3, 0)
    layers = ["first", "second", "head"]
    assert [row._drawn(layers, at) for at in (1, 2, 3)] == [["head"], ["second"], ["first"]]
    row = Randomization("cascading", 3, 0)
    assert [len(row._drawn(layers, at)) for at in (1, 2, 3)] == [1, 2, 3]
    other = redrawn(network, ["second"], 0)
    same = [
        torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True)
    ]
    assert same == [True, True, False, False, True, True]
    before, after = (float(net.second.weight.detach().std()) for net in (network, other))
    assert after == pytest.approx(before, rel=0.2)


def test_weights_outside_of_a_called_module_follow_their_parent() -> None:
    network = toys.Tokens()
    order = weighted_layers(network, lambda: network(torch.zeros(1, 3, D, D)))
    assert order == ["", "patches", "norm1", "norm2", "norm", "head"]


@pytest.mark.parametrize(
    ("count", "steps", "at"), [(9, 3, [1, 5, 9]), (2, 5, [1, 2]), (4, 1, [4]), (1, 3, [1])]
)
def test_steps_are_spread_from_the_output_to_the_input(
    count: int, steps: int, at: list[int]
) -> None:
    assert spread(list(map(str, range(count))), steps) == at


def test_constant_maps_are_undefined() -> None:
    of = linear_classifier()
    of.network[1].weight.data.zero_()
    row = scores(SP, of)
    assert row["spearman"] is None
    assert row["ssim_curve"] == [None]
    aggregated = Randomization("cascading", 3, 0).aggregate([row], [])
    assert np.isnan(aggregated["spearman"]).all()


def test_fewer_bits_have_a_twin_too() -> None:
    row = scores(Center(), Sixteen(toys.classifier(), "bf16", CPU))
    assert row["spearman"] == pytest.approx(1)


def test_a_classifier_without_a_network_is_refused() -> None:
    with pytest.raises(UserError, match=r"^metric randomization needs a PyTorch network, and "):
        Randomization("cascading", 3, 0).check(LinearClassifier(torch.zeros(3, 8, 8)), CPU)
