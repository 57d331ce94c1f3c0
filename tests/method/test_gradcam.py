"""Maps of pytorch-grad-cam through a probe, against Grad-CAM's own formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from genattr.errors import UserError
from genattr.method.gradcam import GradCam, as_maps
from tests.method import hooked_toys as toys

CPU = torch.device("cpu")


def test_layouts_by_shape() -> None:
    maps = torch.rand(2, 7, 3, 3)
    assert torch.equal(as_maps(maps, "auto", "x"), maps)
    assert torch.equal(as_maps(maps.permute(0, 2, 3, 1), "auto", "x"), maps)
    tokens = torch.cat([torch.zeros(2, 2, 7), maps.flatten(2).mT], dim=1)  # class and register
    assert torch.equal(as_maps(tokens, "auto", "x"), maps)
    with pytest.raises(UserError, match=r"^method\.layer=head: its output is \(2, 7\), and method"):
        as_maps(torch.rand(2, 7), "auto", "head")
    with pytest.raises(UserError, match=r"method\.layout=tokens takes maps"):
        as_maps(maps, "tokens", "x")


def method(name: str = "GradCAM", **changes: Any) -> GradCam:
    pytest.importorskip("pytorch_grad_cam")
    return GradCam(name, **({"layer": None, "layout": "auto", "options": None} | changes))


def slow_map(explain: str) -> Tensor:
    """Grad-CAM by its formula, before it is enlarged: weights are mean gradients."""
    probe = toys.probe(explain=explain)
    network, kept = probe.network, []
    network.act2.inplace = False
    hook = network.second.register_forward_hook(lambda _m, _i, output: kept.append(output))
    image = probe.image[None].clone().requires_grad_()
    explained = probe.explained(image).sum()
    hook.remove()
    (gradient,) = torch.autograd.grad(explained, kept[0])
    return (gradient.mean(dim=(2, 3), keepdim=True) * kept[0]).sum(1).relu()[0].detach()


@pytest.mark.parametrize("explain", ["probability", "logit"])
def test_grad_cam_is_its_formula(explain: str) -> None:
    heatmap = method().explain(toys.probe(explain=explain))
    small = slow_map(explain)
    assert small.max() > 0
    scaled = (small - small.min()) / (small.max() - small.min())
    size = (toys.SIZE, toys.SIZE)
    large = functional.interpolate(scaled[None, None], size, mode="bilinear")[0, 0]
    np.testing.assert_allclose(heatmap.values, large / large.max(), atol=0.02)  # OpenCV's bilinear
    assert heatmap.value_range == (0, 1)


def test_each_repeats_itself_and_leaves_the_network_as_it_was() -> None:
    gradcam = pytest.importorskip("genattr.method.gradcam")
    pytest.importorskip("pytorch_grad_cam")
    of = toys.classifier()
    before = [id(module) for module in of.network.modules()]
    for name in gradcam.names():
        chosen = method(name)
        chosen.check(of, CPU)
        first, second = (chosen.explain(toys.probe(of)) for _ in range(2))
        assert torch.equal(first.values, second.values), name
        assert 0 <= first.values.min() <= first.values.max() <= 1, name
        assert first.n_scored <= chosen.calls(toys.SIZE), name
    assert toys.hooks_of(of.network) == 0
    assert of.network.act.inplace
    assert [id(module) for module in of.network.modules()] == before


def test_what_goes_through_the_network_is_counted() -> None:
    assert method().explain(toys.probe()).n_scored == 2  # the photo's own score, and its map
    assert method("ScoreCAM").explain(toys.probe()).n_scored == 2 + 5  # channels
    smooth = method(options={"aug_smooth": True})
    assert smooth.explain(toys.probe()).n_scored == 1 + 6 <= smooth.calls(toys.SIZE)


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("FullGrad", "ScoreCAM"):
        method(name).explain(toys.probe())
    assert capfd.readouterr() == ("", "")


def test_tokens_become_maps() -> None:
    of = toys.classifier("tokens")
    chosen = method(layer="norm1")
    chosen.check(of, CPU)
    assert chosen.explain(toys.probe(of)).values.shape == (toys.SIZE, toys.SIZE)


def test_titles_tell_the_map() -> None:
    names = ("GradCAM", "GradCAMPlusPlus", "LayerCAM")
    assert [method(name).title for name in names] == ["Grad-CAM", "Grad-CAM++", "LayerCAM"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "GradCam"}, r"no such name in pytorch_grad_cam; did you mean GradCAM"),
        (
            {"options": {"eigen_smoth": 1}},
            r"eigen_smoth: no such option; did you mean eigen_smooth",
        ),
        ({"options": {"targets": 1}}, r"method\.options\.targets: no such option; there is aug_"),
    ],
)
def test_wrong_names_and_options_are_told(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        method(**changes)


@pytest.mark.parametrize(
    "option",
    ["model", "target_layers", "reshape_transform", "input_tensor", "targets", "tta_transforms"],
)
def test_options_that_are_not_the_users_to_give_are_refused(option: str) -> None:
    with pytest.raises(UserError, match=rf"^method\.options\.{option}: no such option"):
        method(options={option: 1})


@pytest.mark.parametrize(
    ("of", "layer", "told"),
    [
        ("striped", "secnd", "striped has no such layer; did you mean second"),
        (
            "striped",
            "head",
            r"^method\.layer=head: its output is \(1, 4\), and method\.layout=auto",
        ),
        ("tokens", None, r"no convolution behind its patches: .*method\.layer=norm1$"),
    ],
)
def test_wrong_layers_are_told_before_the_run(of: str, layer: str | None, told: str) -> None:
    with pytest.raises(UserError, match=told):
        method(layer=layer).check(toys.classifier(of), CPU)


def test_values_of_another_type_are_refused() -> None:
    with pytest.raises(UserError, match=r"^method\.options=x: it should be a valid dictionary"):
        method(options="x")
    with pytest.raises(UserError, match=r"^method\.name=5: it should be a valid string"):
        method(5)
