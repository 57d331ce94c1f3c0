"""Methods as Captum and Quantus call them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import genattr
from tests.method.hooked_toys import SIZE, Striped

attr = pytest.importorskip("captum.attr")
WINDOWS = {"patch_size": 5, "stride": 5}
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.25, 0.3]


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return Striped().eval().requires_grad_(False)


def images(count: int = 2, size: int = 25) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(3))


def black() -> Any:
    return genattr.component("filler/gray", color=[0, 0, 0])


def test_sp_is_captums_occlusion_at_the_windows_centers(network: nn.Module) -> None:
    ours = genattr.as_captum("sp", network, black(), **WINDOWS, upsample="centered", threads=1)
    found = ours.attribute(images(), target=torch.tensor([1, 2]))
    expected = attr.Occlusion(lambda x: network(x).softmax(1)).attribute(
        images(), (3, 5, 5), (3, 5, 5), baselines=0, target=torch.tensor([1, 2])
    )
    assert found.shape == images().shape
    centers = (..., slice(2, None, 5), slice(2, None, 5))
    np.testing.assert_allclose(found[centers], expected[centers], atol=1e-6)


def test_inputs_may_be_normalized(network: nn.Module) -> None:
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (MEAN, STD))
    ours = genattr.as_captum("sp", network, mean=MEAN, std=STD, **WINDOWS, threads=1)
    found = ours.attribute((images() - mean) / std, target=1)
    heatmaps = genattr.explain(
        images(), network, [1, 1], "sp", mean=MEAN, std=STD, **WINDOWS, threads=1
    )
    for row, heatmap in zip(found, heatmaps, strict=True):
        np.testing.assert_allclose(row[0], heatmap.to_image(25), atol=1e-5)


def test_captums_wrapper_and_metrics_take_it(network: nn.Module) -> None:
    from captum.metrics import infidelity, sensitivity_max

    ours = genattr.as_captum("sp", network, black(), **WINDOWS, threads=1)
    smooth = attr.NoiseTunnel(ours).attribute(images(1), nt_samples=2, stdevs=0.05, target=1)
    assert smooth.shape == (1, 3, 25, 25)
    moved = sensitivity_max(ours.attribute, images(1), target=1, n_perturb_samples=1)
    assert moved.shape == (1,)
    assert moved > 0

    def perturbed(inputs: Tensor) -> tuple[Tensor, Tensor]:
        noise = torch.full_like(inputs, 0.01)
        return noise, inputs - noise

    maps = ours.attribute(images(1), target=1)
    found = infidelity(network, perturbed, images(1), maps, target=1, n_perturb_samples=1)
    assert found.shape == (1,)
    (alone,) = ours.attribute((images(1),), target=1)
    assert torch.equal(alone, maps)


def test_quantus_gets_one_channel_and_any_model(network: nn.Module) -> None:
    explain_func = genattr.as_quantus("sp", black(), **WINDOWS, threads=1)
    found = explain_func(network, images().numpy(), np.array([1, 2]), device="cpu")
    assert found.shape == (2, 1, 25, 25)
    ours = genattr.as_captum("sp", network, black(), **WINDOWS, threads=1)
    expected = ours.attribute(images(), target=[1, 2])
    np.testing.assert_array_equal(found[:, 0], expected[:, 0])
    other = Striped().eval()
    nn.init.zeros_(other.head.weight)
    assert not explain_func(other, images().numpy(), np.array([1, 2])).any()


def test_a_metric_of_quantus_takes_it(network: nn.Module) -> None:
    quantus = pytest.importorskip("quantus")
    explain_func = genattr.as_quantus("sp", black(), **WINDOWS, threads=1)
    metric = quantus.MaxSensitivity(nr_samples=1, disable_warnings=True)
    found = metric(
        model=network, x_batch=images(1, SIZE + 1).numpy(), y_batch=np.array([1]),
        explain_func=explain_func, a_batch=None, channel_first=True, device="cpu",
    )  # fmt: skip
    assert np.isfinite(found).all()


def test_the_networks_first_choice_is_explained_without_a_target(network: nn.Module) -> None:
    ours = genattr.as_captum("sp", network, **WINDOWS, threads=1)
    first = network(images()).argmax(1)
    assert torch.equal(ours.attribute(images()), ours.attribute(images(), target=first))


@pytest.mark.parametrize(
    ("inputs", "target", "told"),
    [
        (torch.rand(1, 3, 20, 25), 1, r"^inputs: \(1, 3, 20, 25\) is not \(N, 3, D, D\)$"),
        (torch.rand(2, 3, 25, 25), [1, 2, 3], r"^target=\[1, 2, 3\]: give one class, or 2$"),
    ],
)
def test_wrong_inputs_are_told(network: nn.Module, inputs: Tensor, target: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        genattr.as_captum("sp", network, **WINDOWS).attribute(inputs, target=target)


def test_mean_and_std_belong_together(network: nn.Module) -> None:
    with pytest.raises(genattr.UserError, match=r"^mean, std: give both, or none"):
        genattr.as_captum("sp", network, mean=MEAN)


def test_what_explains_again_scores_our_heatmaps_alone(network: nn.Module) -> None:
    settings = {"mean": MEAN, "std": STD, "threads": 1}
    heatmap = genattr.explain(images()[0], network, 1, "sp", **WINDOWS, **settings)
    row = genattr.score(heatmap, "randomization", steps=2)
    assert len(row["randomization/spearman_curve"]) == 2
    with pytest.raises(ValueError, match=r"randomization\": it explains again, and so needs"):
        genattr.score(
            heatmap.values, "randomization", image=images()[0], model=network, target=1, **settings
        )
