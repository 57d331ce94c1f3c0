"""Fused layers give what the layers give one after the other, and step back where they cannot."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from genattr.classifier.base import NetworkClassifier
from genattr.engine import fuse
from genattr.engine.fuse import FUSED, FUSED_SUM, fused
from tests.contract.options import built, compose_config

pytestmark = pytest.mark.skipif(FUSED is None, reason="PyTorch is built without oneDNN")
SIZE = 13


class Layers(nn.Module):
    """A convolution of any kind, and two more whose sum goes on."""

    def __init__(self, pads: list[int], clip: Callable[[Tensor], Tensor], groups: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.pads, self.clip = pads, clip
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, 2, groups=groups)
        self.branches = nn.ModuleList(nn.Conv2d(8, 8, 1) for _ in range(2))
        self.last = nn.Linear(8, 5)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.clip(self.first(images))
        maps = self.clip(self.second(functional.pad(maps, self.pads)))
        one, other = (branch(maps) for branch in self.branches)
        maps = self.clip(one + other)
        return self.last(functional.silu(maps + maps.mean(1, keepdim=True)).mean((2, 3)))


def relu_in_place(maps: Tensor) -> Tensor:
    return functional.relu(maps, inplace=True)


@pytest.mark.parametrize("pads", [[0, 1, 0, 1], [2, 0, 1, 3], [1, 1, 2, 2], [0, 0, 0, 0]])
@pytest.mark.parametrize("clip", [relu_in_place, functional.relu6, torch.tanh])
@pytest.mark.parametrize("groups", [1, 8])
def test_as_layer_by_layer(pads: list[int], clip: Callable[..., Tensor], groups: int) -> None:
    network = Layers(pads, clip, groups).requires_grad_(False)
    images = torch.rand(5, 3, SIZE, SIZE).contiguous(memory_format=torch.channels_last)
    found = fused(network, images[:1])
    assert found is not None
    targets = [node.target for node in found.nodes]
    clipped = 0 if clip is torch.tanh else 2
    padded = groups > 1 or (pads[0] == pads[1] and pads[2] == pads[3])
    assert targets.count(FUSED) == max(clipped, int(padded))
    assert targets.count(FUSED_SUM) == 1
    assert (torch.ops.aten.constant_pad_nd.default in targets) is not padded
    for rows in (1, 2, 5):
        expected = network(images[:rows].clone())
        assert torch.allclose(found([images[:rows]]), expected, rtol=1e-5, atol=1e-6)


def test_nothing_to_fuse() -> None:
    pooled = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert fused(pooled.requires_grad_(False), torch.rand(1, 3, SIZE, SIZE)) is None
    doubled = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten()).double()
    assert fused(doubled, torch.rand(1, 3, SIZE, SIZE, dtype=torch.float64)) is None


def test_what_others_read_too_and_sums_with_weights_stay() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.other = nn.Conv2d(3, 4, 3)
            self.place = nn.Parameter(torch.rand(1, 4, SIZE - 2, SIZE - 2))

        def forward(self, images: Tensor) -> Tensor:
            maps = self.conv(images)
            placed = self.other(images) + self.place
            return (maps.relu() - maps + self.other(images).relu() + placed).flatten(1)

    network, images = Twice().requires_grad_(False), torch.rand(2, 3, SIZE, SIZE)
    found = fused(network, images[:1])
    assert found is not None
    assert torch.allclose(found([images]), network(images), atol=1e-6)


@pytest.fixture
def classifier(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> NetworkClassifier:
    monkeypatch.setattr(fuse, "PAYS", 4)
    caplog.set_level(logging.INFO, "genattr.engine.fuse")
    keys = [
        "classifier.name=test_resnet",
        "classifier.pretrained=false",
        "classifier.input_size=64",
    ]
    made = built(compose_config("classifier=timm", *keys).classifier, "classifier")
    assert isinstance(made, NetworkClassifier)
    return made


@torch.no_grad()
def test_a_classifier_fuses_when_asked_once_that_pays_and_keeps_the_bits(
    classifier: NetworkClassifier, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.rand(16, 3, classifier.input_size, classifier.input_size)
    plain = classifier(images)
    assert torch.equal(classifier(images), plain)
    assert caplog.messages == []
    classifier.fuse()
    monkeypatch.setattr(fuse, "PAYS", 40)
    for told in ([], [], ["network: layers fused, in batches of 16"]):
        assert torch.equal(classifier(images), plain)
        assert caplog.messages == told
    monkeypatch.setattr(classifier._passes, "_network", None)  # is not asked any more
    assert torch.equal(classifier(images), plain)


def test_what_watches_the_network_or_differentiates_it_sees_every_layer(
    classifier: NetworkClassifier,
) -> None:
    classifier.fuse()
    images = torch.rand(16, 3, classifier.input_size, classifier.input_size)
    seen = []
    handle = classifier.network.register_forward_hook(lambda *_: seen.append(1))
    with torch.no_grad():
        classifier(images)
        handle.remove()
        assert seen == [1]
        for _ in range(3):
            classifier(images)
        with torch.autocast("cpu", torch.bfloat16):
            assert classifier(images).dtype == torch.float32
    assert torch.autograd.grad(classifier(images.requires_grad_()).sum(), images)[0].any()
    assert seen == [1]


@torch.no_grad()
def test_batches_that_fused_layers_answer_with_other_bits_stay_as_they_are(
    classifier: NetworkClassifier, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        fuse, "fused", lambda network, _: lambda maps: network(maps[0]) + 1e-6 * (len(maps[0]) == 8)
    )
    images = torch.rand(8, 3, classifier.input_size, classifier.input_size)
    plain = classifier(images)
    classifier.fuse()
    for rows in (8, 5, 8, 5):
        assert torch.equal(classifier(images[:rows]), plain[:rows])
    other = "layer by layer, because fused ones give other bits"
    expected = [f"network: {other}, in batches of 8", "network: layers fused, in batches of 5"]
    assert caplog.messages == expected


@torch.no_grad()
def test_a_network_that_cannot_be_traced_stays_as_it_is(
    classifier: NetworkClassifier, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no such operation")

    monkeypatch.setattr(fuse, "fused", fail)
    images = torch.rand(8, 3, classifier.input_size, classifier.input_size)
    plain = classifier(images)
    classifier.fuse()
    assert torch.equal(classifier(images), plain)
    assert torch.equal(classifier(images), plain)
    (line,) = caplog.messages
    assert line.startswith("network: layer by layer, because it cannot be traced")
