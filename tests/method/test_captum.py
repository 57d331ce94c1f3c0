"""Attributions of Captum through a probe, against Captum called by hand."""

from __future__ import annotations

from inspect import signature
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

attr = pytest.importorskip("captum.attr")

from genattr.errors import UserError  # noqa: E402
from genattr.method.captum import Captum, names  # noqa: E402
from genattr.segmentation.grid import Grid  # noqa: E402
from tests.method import hooked_toys as toys  # noqa: E402

WINDOWS = {"sliding_window_shapes": [3, 8, 8], "strides": [3, 4, 4]}
NEEDED = {"Lime": {"n_samples": 9}, "Occlusion": WINDOWS, "ShapleyValueSampling": {"n_samples": 2}}


def method(name: str, **changes: Any) -> Captum:
    values = {
        "layer": None, "options": NEEDED.get(name), "noise": None, "values": "signed",
        "n_segments": 4, "compactness": 30, "sigma": 3, "segmentation": Grid(),
    }  # fmt: skip
    return Captum(name, **(values | changes))


def prob(probe: Any) -> Any:
    """Return the target's probability as a user would write it, with the normalization outside."""
    network, of = probe.network, probe.classifier
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (of.mean, of.std))
    return lambda images: network((images - mean) / std).softmax(1)


def black(probe: Any) -> Tensor:
    return torch.zeros(1, *probe.image.shape)


@pytest.mark.parametrize("name", ["IntegratedGradients", "InputXGradient", "Saliency", "DeepLift"])
def test_it_gives_what_captum_gives(name: str) -> None:
    probe = toys.probe()
    values = method(name).explain(probe).values
    if name == "DeepLift":  # which needs a module: by its rule, the ends differ by the total
        total = float(probe.prob(probe.image[None]) - probe.prob(black(probe)))
        assert values.sum() == pytest.approx(total, abs=2e-3)
        return
    given = {"baselines": black(probe)} if name == "IntegratedGradients" else {}
    image = probe.image[None].clone()
    expected = getattr(attr, name)(prob(probe)).attribute(image, target=2, **given)
    np.testing.assert_allclose(values, expected[0].sum(0).detach(), atol=1e-6)


@pytest.mark.parametrize("explain", ["logit", "log_odds"])
def test_the_explained_quantity_is_the_runs(explain: str) -> None:
    probe = toys.probe(explain=explain)
    image = probe.image.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(probe.explained(image[None]).sum(), image)
    values = method("InputXGradient").explain(probe).values
    np.testing.assert_allclose(values, (gradient * probe.image).sum(0), atol=1e-6)


def test_occlusion_fills_with_the_runs_filler() -> None:
    probe = toys.probe()
    shapes = {"sliding_window_shapes": (3, 8, 8), "strides": (3, 4, 4)}
    expected = attr.Occlusion(prob(probe)).attribute(
        probe.image[None], target=2, baselines=black(probe), **shapes
    )
    heatmap = method("Occlusion").explain(probe)
    np.testing.assert_allclose(heatmap.values, expected[0].sum(0), atol=1e-6)
    assert heatmap.n_scored <= method("Occlusion").calls(toys.SIZE)


def test_segments_are_removed_together() -> None:
    heatmap = method("FeatureAblation").explain(toys.probe())
    assert len(heatmap.values.unique()) == 4
    corner = heatmap.values[:12, :12]
    assert (corner == corner[0, 0]).all()


@pytest.mark.parametrize("layer", [None, "first"])
def test_layers_by_name_or_the_last_convolution(layer: str | None) -> None:
    probe = toys.probe()
    values = method("LayerGradCam", layer=layer).explain(probe).values
    network = probe.network
    chosen = network.first if layer else network.second
    network.act.inplace = network.act2.inplace = False
    expected = attr.LayerGradCam(prob(probe), chosen).attribute(probe.image[None], target=2)
    assert values.shape == ((11, 11) if layer else (9, 9))
    np.testing.assert_allclose(values, expected[0, 0].detach(), atol=1e-7)


@pytest.mark.parametrize("name", [name for name in names() if name not in ("LRP", "LayerLRP")])
def test_each_repeats_itself_and_leaves_the_network_as_it_was(name: str) -> None:
    of = toys.classifier()
    state = {key: value.clone() for key, value in of.network.state_dict().items()}
    chosen = method(name)
    if "n_steps" in signature(chosen._attribute).parameters:
        chosen = method(name, options={"n_steps": 5})
    chosen.check(of, torch.device("cpu"))
    random_before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    first, second = (chosen.explain(toys.probe(of)) for _ in range(2))
    assert torch.equal(first.values, second.values)
    assert torch.isfinite(first.values).all()
    assert first.n_scored <= chosen.calls(toys.SIZE)
    assert torch.equal(torch.random.get_rng_state(), random_before[0])
    assert (np.random.get_state()[1] == random_before[1]).all()
    assert toys.hooks_of(of.network) == 0
    assert of.network.act.inplace
    assert all(torch.equal(value, state[key]) for key, value in of.network.state_dict().items())


def test_random_ones_follow_the_seed() -> None:
    def values(seed: int) -> Tensor:
        return method("KernelShap").explain(toys.probe(seed=seed)).values

    assert not torch.equal(values(0), values(1))


def test_smoothgrad_and_absolute_values() -> None:
    noise = {"nt_type": "smoothgrad", "nt_samples": 3, "stdevs": 0.1}
    smooth = method("InputXGradient", noise=noise, values="absolute")
    heatmap = smooth.explain(toys.probe())
    assert smooth.title == "InputXGradient smoothgrad"
    assert heatmap.values.min() >= 0
    assert heatmap.value_range == (0, float("inf"))
    assert heatmap.n_scored == 1 + 3
    plain = method("InputXGradient", values="absolute").explain(toys.probe())
    assert not torch.allclose(heatmap.values, plain.values)


def test_errors_of_captum_are_one_line() -> None:
    with pytest.raises(UserError, match=r"^method\.name=LRP fails on tokens: .*no rule") as told:
        method("LRP").check(toys.classifier("tokens"), torch.device("cpu"))
    assert "\n" not in str(told.value)


def test_what_does_not_hook_works_without_a_network() -> None:
    for name in ("Occlusion", "Lime", "IntegratedGradients"):
        assert not method(name).needs_network
    assert not method("Lime").needs_gradient
    assert method("LayerGradCam").needs_network
    assert method("DeepLift").needs_gradient


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "IntegratedGradient"}, "no such name in captum.attr; did you mean Integrated"),
        ({"name": "NeuronGradient"}, "no such name in captum.attr"),
        ({"options": {"n_step": 3}}, r"method\.options\.n_step: no such option; did you mean n_st"),
        ({"options": {"target": 3}}, r"method\.options\.target: no such option; there is"),
        ({"noise": {"samples": 3}}, r"method\.noise\.samples: no such option; did you mean nt_sa"),
        ({"name": "Occlusion"}, r"needs method\.options\.sliding_window_shapes; for windows of"),
    ],
)
def test_wrong_names_and_options_are_told(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        method(**({"name": "IntegratedGradients", "options": None} | changes))


@pytest.mark.parametrize(
    ("name", "option"),
    [
        *(("IntegratedGradients", each) for each in ("inputs", "baselines", "target")),
        *(("IntegratedGradients", each) for each in ("additional_forward_args", "forward_func")),
        *(("IntegratedGradients", each) for each in ("return_convergence_delta", "self")),
        *(("LayerGradCam", each) for each in ("layer", "device_ids")),
        *(("FeatureAblation", "feature_mask"), ("DeepLift", "model")),
        ("Lime", "return_input_shape"),
    ],
)
def test_options_that_are_not_the_users_to_give_are_refused(name: str, option: str) -> None:
    with pytest.raises(UserError, match=rf"^method\.options\.{option}: no such option"):
        method(name, options={option: 1})


@pytest.mark.parametrize(
    "name",
    ["FeaturePermutation", "LayerFeatureAblation", "LayerFeaturePermutation", "ShapleyValues"],
)
def test_attributions_of_several_photos_or_every_order_are_none_to_choose(name: str) -> None:
    assert "attribute" in dir(getattr(attr, name))
    assert all("attribute" in dir(getattr(attr, each)) for each in names())
    with pytest.raises(UserError, match=rf"^method\.name={name}: no such name in captum\.attr"):
        method(name)


@pytest.mark.parametrize(
    ("of", "layer", "told"),
    [
        (
            "striped",
            "secnd",
            r"^method\.layer=secnd: striped has no such layer; did you mean secon",
        ),
        (
            "striped",
            "head",
            r"^method\.name=LayerGradCam gives \(1, 1\) for method\.layer=head, no",
        ),
        ("tokens", None, r"^method\.layer: tokens has no convolution behind its patches: .*=norm1"),
    ],
)
def test_wrong_layers_are_told_before_the_run(of: str, layer: str | None, told: str) -> None:
    with pytest.raises(UserError, match=told):
        method("LayerGradCam", layer=layer).check(toys.classifier(of), torch.device("cpu"))


def test_missing_relus_are_told(caplog: pytest.LogCaptureFixture) -> None:
    method("GuidedBackprop").check(toys.classifier("tokens"), torch.device("cpu"))
    assert "tokens has none: its map is that of the plain gradient" in caplog.text


@pytest.mark.parametrize(("name", "of"), [("GuidedBackprop", "striped"), ("Saliency", "tokens")])
def test_of_relus_only_those_that_lack_are_told(
    name: str, of: str, caplog: pytest.LogCaptureFixture
) -> None:
    method(name).check(toys.classifier(*[of] * (of != "striped")), torch.device("cpu"))
    assert "nn.ReLU" not in caplog.text


def test_signed_values_have_no_bounds() -> None:
    heatmap = method("InputXGradient").explain(toys.probe())
    assert heatmap.value_range == (-float("inf"), float("inf"))
    assert heatmap.values.min() < 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"sliding_window_shapes": [3, 8]}, r"sliding_window_shapes=\(3, 8\)"),
        ({"sliding_window_shapes": 8}, "sliding_window_shapes=8"),
        ({"sliding_window_shapes": [3, 8, 0]}, r"sliding_window_shapes=\(3, 8, 0\)"),
        ({"sliding_window_shapes": [3, 8, "8"]}, r"sliding_window_shapes=\(3, 8, '8'\)"),
        (WINDOWS | {"strides": [4, 4]}, r"strides=\(4, 4\)"),
        (WINDOWS | {"strides": -1}, r"strides=\(-1, -1, -1\)"),
    ],
)
def test_windows_without_three_sides_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=rf"^method\.options\.{told}: must be three whole numbers"):
        method("Occlusion", options=options).calls(toys.SIZE)


@pytest.mark.parametrize("strides", [None, 4, [3, 4, 4]])
def test_windows_are_counted(strides: Any) -> None:
    chosen = method("Occlusion", options=WINDOWS | {"strides": strides})
    images = chosen.explain(toys.probe()).n_scored
    assert images == 2 + (17 * 17 if strides is None else 5 * 5)
    assert images <= chosen.calls(toys.SIZE) <= images + 2
    apart = method("Occlusion", options={"sliding_window_shapes": [1, 24, 24], "strides": 1})
    assert apart.explain(toys.probe()).n_scored == 2 + 3
    at_once = method("Occlusion", options={"sliding_window_shapes": [3, 24, 24]})
    assert apart.calls(toys.SIZE) - at_once.calls(toys.SIZE) == 2


def test_values_of_another_type_are_refused() -> None:
    with pytest.raises(UserError, match=r"^method\.options=x: it should be a valid dictionary"):
        method("Saliency", options="x")
    with pytest.raises(UserError, match=r"^method\.name=5: it should be a valid string"):
        method(5)
