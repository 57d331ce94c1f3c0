"""Incremental windows equal whole forward passes, cell by cell, in double precision."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models
from torchvision.models import DenseNet, MobileNetV2
from torchvision.models.resnet import Bottleneck
from torchvision.models.vgg import make_layers

from genattr.classifier.folding import fold_batch_norm
from genattr.engine.graph import Graph, trace
from genattr.engine.incremental import Photo
from genattr.engine.plan import Index, plan
from tests.classifier.test_folding import trained

SIZE = 19
BOXES = [
    [0, 0, 5, 5], [14, 14, 19, 19], [14, 0, 19, 5], [0, 7, 5, 12], [7, 8, 12, 13], [8, 8, 13, 13],
    [3, 4, 8, 9], [9, 9, 10, 10], [0, 0, 1, 1], [18, 0, 19, 1], [2, 0, 11, 3], [0, 0, 19, 19],
]  # fmt: skip


class Cells(nn.Module):
    """A body whose every output cell is an output of the network."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, images: Tensor) -> Tensor:
        return self.body(images).flatten(1)


class Branches(nn.Module):
    """Several branches of one input, joined by a function."""

    def __init__(self, join: Callable[..., Tensor], *branches: nn.Module) -> None:
        super().__init__()
        self.branches, self.join = nn.ModuleList(branches), join

    def forward(self, images: Tensor) -> Tensor:
        return self.join(*(branch(images) for branch in self.branches))


def scene(size: int, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Return a photo, and photos with noise in each box."""
    random = torch.Generator().manual_seed(0)
    image = torch.rand(3, size, size, generator=random, dtype=torch.float64)
    changed = image.repeat(len(boxes), 1, 1, 1)
    for row, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
        changed[row, :, y0:y1, x0:x1] = torch.randn(
            3, y1 - y0, x1 - x0, generator=random, dtype=torch.float64
        )
    return image, changed


def incremental(graph: Graph, image: Tensor, boxes: Tensor, changed: Tensor) -> Tensor:
    """Score the changed photos by their windows alone."""
    photo, found = Photo(graph, image), {}
    for batch in plan(graph, boxes, per_axis=3):
        x0, y0, x1, y1 = boxes[batch.rows].T.tolist()
        windows = [
            changed[row, :, top:bottom, left:right]
            for row, left, top, right, bottom in zip(
                batch.rows.tolist(), x0, y0, x1, y1, strict=True
            )
        ]
        logits = photo.logits(batch, torch.stack(windows))
        found |= dict(zip(batch.rows.tolist(), logits, strict=True))
    assert sorted(found) == list(range(len(boxes)))
    return torch.stack([found[row] for row in range(len(boxes))])


@torch.no_grad()
def check(network: nn.Module, size: int = SIZE, boxes: list[list[int]] = BOXES) -> Graph:
    """Compare with whole forward passes; return how the network was seen."""
    network = network.double().eval()
    rectangles = torch.tensor(boxes)
    image, changed = scene(size, rectangles)
    graph = trace(network, torch.full((1, 3, size, size), 0.5, dtype=torch.float64))
    expected = network(changed)
    found = incremental(graph, image, rectangles, changed)
    effect = float((expected - network(image[None])).abs().max())
    assert effect > 1e-9 * float(expected.abs().max())
    assert torch.allclose(found, expected, rtol=0, atol=1e-5 * effect)
    return graph


sliding = st.fixed_dictionaries(
    {"kernel_size": st.tuples(st.integers(1, 5), st.integers(1, 5)), "stride": st.integers(1, 3)}
)
place = st.tuples(st.integers(0, 15), st.integers(0, 15), st.integers(1, 8), st.integers(1, 8))
places = st.lists(place, min_size=1, max_size=6).map(
    lambda found: [[x, y, min(x + w, SIZE), min(y + h, SIZE)] for x, y, w, h in found]
)


@given(sliding, st.integers(0, 4), st.integers(1, 2), st.sampled_from([1, 3]), places)
def test_convolutions(
    options: dict[str, object], padding: int, dilation: int, groups: int, boxes: list[list[int]]
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 6, padding=padding, dilation=dilation, groups=groups, **options)
    graph = check_local(Cells(conv, nn.ReLU6(), nn.Conv2d(6, 4, 1)), boxes)
    assert len(graph.steps) == 4


def check_local(network: nn.Module, boxes: list[list[int]]) -> Graph:
    """Compare, where some outputs see the boxes or not, and where all steps must be local."""
    network = network.double().eval()
    rectangles = torch.tensor(boxes)
    image, changed = scene(SIZE, rectangles)
    graph = trace(network, image[None])
    assert graph.local_share == 1
    with torch.no_grad():
        found = incremental(graph, image, rectangles, changed)
        assert torch.allclose(found, network(changed), rtol=1e-9, atol=1e-12)
    return graph


@given(sliding, st.data(), st.booleans(), places)
def test_pools(
    options: dict[str, object], data: st.DataObject, ceil: bool, boxes: list[list[int]]
) -> None:
    torch.manual_seed(0)
    padding = data.draw(st.integers(0, min(options["kernel_size"]) // 2))
    before, after = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 2)
    largest = nn.MaxPool2d(**options, padding=padding, ceil_mode=ceil)
    check_local(Cells(before, largest, after), boxes)
    check_local(Cells(before, nn.AvgPool2d(**options, padding=padding), after), boxes)


@given(st.lists(st.integers(0, 2), min_size=4, max_size=4), st.integers(1, 3), places)
def test_paddings_of_their_own(padding: list[int], stride: int, boxes: list[list[int]]) -> None:
    torch.manual_seed(0)
    conv, pool = nn.Conv2d(3, 4, 3, stride, padding=1), nn.MaxPool2d(3, stride)
    check_local(Cells(nn.ZeroPad2d(padding), conv), boxes)
    check_local(Cells(nn.ConstantPad2d(padding, -torch.inf), pool, nn.Conv2d(3, 3, 1)), boxes)


@pytest.mark.parametrize(
    "join",
    [
        lambda a, b: a + b,
        lambda a, b: a - 2 * b,
        lambda a, b: a * b.sigmoid(),
        lambda a, b: torch.cat([b, a, a], dim=1),
        lambda a, b: torch.maximum(a, functional.leaky_relu(b) / 3),
        lambda a, b: functional.hardswish(a) + functional.silu(b) - functional.gelu(a),
    ],
    ids=["add", "subtract", "gate", "concat", "maximum", "activations"],
)
def test_branches_of_unequal_reach(join: Callable[..., Tensor]) -> None:
    torch.manual_seed(0)
    wide = nn.Sequential(nn.Conv2d(3, 4, 5, 2, padding=2), nn.Conv2d(4, 4, 3, padding=1))
    narrow = nn.Conv2d(3, 4, 1, 2)
    graph = check(
        Cells(
            Branches(join, wide, narrow),
            nn.Conv2d(4 if "cat" not in join.__code__.co_names else 12, 3, 3),
        )
    )
    assert graph.local_share == 1


NETWORKS = {
    "resnet18": lambda: models.resnet18(num_classes=7),
    "dilated resnet": lambda: models.ResNet(
        Bottleneck, [1, 1, 1, 1], 7, replace_stride_with_dilation=[False, True, True]
    ),
    "vgg": lambda: models.VGG(make_layers([8, "M", 16, "M", 512, "M"]), num_classes=7),
    "mobilenet v2": lambda: MobileNetV2(num_classes=7, width_mult=0.25),
    "densenet": lambda: DenseNet(8, (2, 2, 2, 2), 16, num_classes=7),
    "squeezenet": lambda: models.squeezenet1_1(num_classes=7),
    "timm resnet": lambda: timm.create_model("test_resnet", num_classes=7),
    "timm resnet-d": lambda: timm.create_model("resnet10t", num_classes=7),
    "mobilenet v1": lambda: timm.create_model("mobilenetv1_100", num_classes=7),
    "same padding": lambda: timm.create_model("tf_efficientnet_lite0", num_classes=7),
}
PLACES = [
    [0, 0, 9, 9], [55, 55, 64, 64], [55, 0, 64, 9], [0, 23, 9, 32], [30, 31, 39, 40],
    [33, 31, 42, 40], [20, 47, 29, 56], [40, 40, 41, 41], [10, 0, 50, 60],
]  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_folded_networks(name: str) -> None:
    network = trained(NETWORKS[name]())
    check_pooled(fold_batch_norm(network, torch.full((1, 3, 64, 64), 0.1)))


@pytest.mark.parametrize("name", ["resnet18", "timm resnet"])
def test_networks_with_batch_norms(name: str) -> None:
    check_pooled(trained(NETWORKS[name]()))


def check_pooled(network: nn.Module) -> None:
    """Compare, and expect that nothing is whole before the last map is pooled."""
    graph = check(network, 64, PLACES)
    first, _, shape = graph.first_global.partition(" of ")
    assert first in ("mean", "_adaptive_avg_pool2d")
    assert shape == " x ".join(map(str, graph.steps[-1].shape))


def test_indices_are_moved_to_a_device_once() -> None:
    index = Index(torch.arange(3))
    there = index.on(torch.device("meta"))
    assert there.is_meta
    assert index.on(torch.device("meta")) is there
    assert index.on(torch.device("cpu")).tolist() == [0, 1, 2]
