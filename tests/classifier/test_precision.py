"""Fewer bits for the classifier, and the size of batches."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import Mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from genattr import components, environment, seeds
from genattr.classifier import precision, sixteen
from genattr.classifier.base import NetworkClassifier
from genattr.classifier.trial import trial_images
from genattr.ops.backward import RowScale
from genattr.protocols import Classifier
from genattr.results.summary import load_summary
from genattr.run import experiment
from tests import toys
from tests.conftest import LinearClassifier
from tests.contract.options import built, compose_config
from tests.sweep.test_lifecycle import SMALL

TINY = [*SMALL, "metric.deletion.tie_seeds=1", "tracking=none", "device=cpu"]
CPU = torch.device("cpu")


def test_32_bits_are_the_classifier_itself() -> None:
    classifier = LinearClassifier(torch.zeros(3, 4, 4))
    assert precision.reduce(classifier, "fp32", CPU) is classifier


def test_16_bits_round_as_bfloat16_does() -> None:
    weights = torch.randn(1000, 3 * 16 * 16, generator=torch.Generator().manual_seed(0)) / 16

    class Products(Classifier):
        input_size = 16
        labels = tuple(map(str, range(1000)))

        def __call__(self, images: Tensor) -> Tensor:
            return functional.linear(images.flatten(1), weights)

    images = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    reduced = precision.reduce(Products(), "bf16", CPU)
    expected = images.flatten(1).bfloat16() @ weights.T.bfloat16()
    found = reduced(images)
    assert found.dtype == torch.float32
    assert torch.allclose(found, expected.float(), atol=0.02, rtol=0.01)
    exact = Products()(images)
    assert not torch.equal(found, exact)
    moved = (found.softmax(1) - exact.softmax(1)).abs().max()
    assert reduced.difference(images) == pytest.approx(float(moved))


class TwoHeads(nn.Module):
    """Eight features by a convolution in the middle of the network; two last layers, averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.middle = nn.Conv2d(3, 8, 3, stride=2), nn.Conv2d(8, 8, 3)
        self.norm = nn.GroupNorm(2, 8)
        self.first, self.second = nn.Linear(8, 5), nn.Conv2d(8, 5, 1)

    def forward(self, images: Tensor) -> Tensor:
        features = self.norm(self.middle(self.stem(images).relu()))
        pooled = features.mean(dim=(2, 3))
        seen = self.second(features.amax(dim=(2, 3), keepdim=True)).flatten(1)
        return (self.first(input=pooled) + seen) / 2


class Functional(nn.Module):
    """Its last layer does not run as a module."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 5)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(images).relu().mean(dim=(2, 3))
        return functional.linear(features, self.head.weight, self.head.bias)


def random_weights(network: type[nn.Module]) -> nn.Module:
    with seeds.fixed(0):
        return network()


def two_heads() -> nn.Module:
    return random_weights(TwoHeads)


def functional_head() -> nn.Module:
    return random_weights(Functional)


def own(name: str, *overrides: str) -> NetworkClassifier:
    path = f"classifier.path=tests.classifier.test_precision:{name}"
    cfg = compose_config("classifier=callable", path, "classifier.input_size=32", *overrides)
    return built(cfg.classifier, "classifier")


def of_timm(name: str) -> NetworkClassifier:
    cfg = compose_config(
        "classifier=timm", f"classifier.name={name}", "classifier.pretrained=false"
    )
    return built(cfg.classifier, "classifier")


@torch.no_grad()
def with_exact_layers(
    classifier: NetworkClassifier, names: Sequence[str], dtype: torch.dtype, images: Tensor
) -> Tensor:
    """Run a network under autocast, but for some of its layers, as one would write it down."""
    network = copy.deepcopy(classifier.network)

    def again(layer: nn.Module, inputs: Any, named: Any, _: Tensor) -> Tensor:
        (features,) = [*inputs, *named.values()]
        with torch.autocast("cpu", enabled=False):
            return layer.forward(features.float())

    for name in names:
        network.get_submodule(name).register_forward_hook(again, with_kwargs=True)
    with torch.autocast("cpu", dtype):
        return classifier.with_network(lambda _: network)(images)


MODELS = {
    "two heads": (lambda: own("two_heads"), ["first", "second"], ["norm"]),
    "ResNet": (lambda: of_timm("test_resnet"), ["fc"], []),
    "ViT": (lambda: of_timm("test_vit"), ["head"], ["norm", "blocks.0.norm1"]),
    "NFNet": (lambda: of_timm("test_nfnet"), ["head.fc"], ["stem.conv1"]),
}


@pytest.mark.parametrize("bits", precision.DTYPES)
@pytest.mark.parametrize(("build", "last", "full"), MODELS.values(), ids=list(MODELS))
def test_the_last_layers_have_32_bits_and_weights_are_stored_in_16(
    build: Callable[[], NetworkClassifier], last: list[str], full: list[str], bits: str
) -> None:
    classifier, dtype = build(), precision.DTYPES[bits]
    images = trial_images(classifier.input_size)[:3]
    exact = classifier(images)
    reduced = precision.reduce(classifier, bits, CPU)
    found = reduced(images)
    assert found.dtype == torch.float32
    assert torch.equal(found, with_exact_layers(classifier, last, dtype, images))
    assert not torch.equal(found, found.to(dtype).float())
    stored = reduced._fast.network
    for name, module in stored.named_modules():
        if isinstance(module, sixteen.LAYERS) and not {name, "convolution"} & {*last, *full}:
            is_standardized = type(module) not in (nn.Linear, nn.Conv2d)
            assert module.weight.dtype == (torch.float32 if is_standardized else dtype)
    assert {stored.get_submodule(name).weight.dtype for name in [*last, *full]} == {torch.float32}
    assert reduced.network is classifier.network
    assert torch.equal(classifier(images), exact)


def test_a_twin_with_another_network_leaves_the_first_alone() -> None:
    classifier, images = own("two_heads"), trial_images(32)
    twin = classifier.with_network(lambda network: nn.Sequential(network, nn.ReLU()))
    assert torch.equal(twin(images), classifier(images).relu())
    assert (classifier(images) < 0).any()
    assert not twin.sigmoid
    assert twin.fingerprint == classifier.fingerprint


def test_stored_weights_keep_channels_last() -> None:
    reduced = precision.reduce(own("two_heads"), "bf16", CPU)
    weight = reduced._fast.network.middle.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()


def told_rounding(classifier: NetworkClassifier, caplog: pytest.LogCaptureFixture) -> bool:
    images = trial_images(classifier.input_size)
    with caplog.at_level("INFO", "genattr.classifier.precision"):
        found = precision.reduce(classifier, "bf16", CPU)(images)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(found, classifier(images))
    told = [one.getMessage() for one in caplog.records if one.name == precision.__name__]
    return told == [
        f"precision=bf16: the last layer of {classifier.title} is not found, so it is "
        "computed in 16 bits too"
    ]


def test_a_last_layer_that_is_no_module_is_told(caplog: pytest.LogCaptureFixture) -> None:
    assert told_rounding(own("functional_head"), caplog)


def test_a_torchscript_network_is_computed_by_autocast(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = toys.torchscript_file(tmp_path, two_heads())
    cfg = compose_config(
        "classifier=torchscript",
        f"classifier.path={file}",
        "classifier.input_size=32",
        "trust=true",
    )
    assert told_rounding(built(cfg.classifier, "classifier"), caplog)


def gradient(classifier: Classifier, images: Tensor, weights: Tensor) -> Tensor:
    """Return the gradient of a weighted sum of the first class's probabilities."""
    images = images.clone().requires_grad_()
    loss = (classifier.probabilities(classifier(images))[:, 0] * weights).sum()
    return torch.autograd.grad(loss, images)[0]


def test_small_gradients_do_not_vanish_in_16_bits() -> None:
    classifier = own("two_heads")
    reduced = precision.reduce(classifier, "fp16", CPU)
    images = trial_images(32)[:2]
    weights = torch.tensor([1e-9, 1.0])
    expected = gradient(classifier, images, weights)
    found = gradient(reduced, images, weights)
    for mine, true in zip(found, expected, strict=True):
        assert 0 < (mine - true).norm() < 0.02 * true.norm()
    leaf = images.clone().requires_grad_()
    with torch.autocast("cpu", torch.float16):
        logits = reduced._fast(leaf)
    (classifier.probabilities(logits)[:, 0] * weights).sum().backward()
    assert leaf.grad is not None
    assert (leaf.grad[0] == 0).all(), "without the scale, this toy would show nothing"


def test_a_rows_gradient_does_not_depend_on_the_others() -> None:
    reduced = precision.reduce(own("two_heads"), "fp16", CPU)
    images = trial_images(32)[:2]
    first = [gradient(reduced, images, torch.tensor([1e-3, x]))[0] for x in (1e-9, 1.0, 1e9)]
    assert first[0].any()
    assert torch.equal(first[0], first[1])
    assert torch.equal(first[0], first[2])


@given(exponent=st.integers(-140, 127), row=st.lists(st.floats(-1, 1, width=16), min_size=1))
def test_the_scale_is_a_power_of_two_that_is_taken_back(exponent: int, row: list[float]) -> None:
    small = torch.tensor([row], dtype=torch.float64) * 2.0**exponent
    gradient = small.float()
    scale = RowScale()
    enlarged = scale.enlarge(gradient)
    peak = gradient.abs().max()
    if peak >= 2.0**-100:
        assert 128 <= enlarged.abs().max() < 256
    assert torch.equal(scale.restore(enlarged[:, :, None, None]), gradient[:, :, None, None])
    assert torch.frexp(scale._factor).mantissa == 0.5


@pytest.mark.parametrize("bad", [math.inf, math.nan])
@pytest.mark.parametrize("bits", precision.DTYPES)
def test_a_gradient_that_is_not_finite_reaches_the_images(bits: str, bad: float) -> None:
    reduced = precision.reduce(own("two_heads"), bits, CPU)
    found = gradient(reduced, trial_images(32)[:2], torch.tensor([bad, 1.0]))
    assert not found[0].isfinite().any()
    assert found[1].isfinite().all()


class Spy(torch.autograd.Function):
    """The identity, which notes whether TF32 is allowed while it runs."""

    seen: ClassVar[list[tuple[str, bool, bool]]] = []

    @classmethod
    def note(cls, when: str) -> None:
        flags = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
        cls.seen.append((when, *flags))

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        Spy.note("forward")
        return images.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        Spy.note("backward")
        return grad


class Watched(LinearClassifier):
    def __call__(self, images: Tensor) -> Tensor:
        return super().__call__(Spy.apply(images))


@pytest.mark.parametrize("has_tf32", [True, False])
def test_tf32_is_allowed_in_the_classifier_and_its_gradient_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, has_tf32: bool
) -> None:
    monkeypatch.setattr(environment, "has_tf32", lambda device: has_tf32)
    monkeypatch.setattr(Spy, "seen", [])
    environment.prepare("cpu", None, False)
    with caplog.at_level("INFO", "genattr.classifier.precision"):
        reduced = precision.reduce(Watched(torch.ones(3, 4, 4)), "tf32", CPU)
    images = torch.rand(2, 3, 4, 4, requires_grad=True)
    pieces = torch.cat([reduced(images[:1]), reduced(images[1:])])
    Spy.note("between")
    pieces[:, 0].sum().backward()
    Spy.note("after")
    allowed = (has_tf32,) * 2
    assert Spy.seen == [
        *[("forward", *allowed)] * 2,
        ("between", False, False),
        *[("backward", *allowed)] * 2,
        ("after", False, False),
    ]
    assert reduced.difference(images.detach()) == 0
    told = ["precision=tf32: device cpu has no TF32, so that it computes as fp32 does"]
    assert caplog.messages == [] if has_tf32 else told


def test_an_error_leaves_full_float32_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "has_tf32", lambda device: True)
    classifier = Mock(side_effect=RuntimeError, in_pytorch=True)
    with pytest.raises(RuntimeError):
        precision.reduce(classifier, "tf32", CPU)(torch.rand(1, 3, 4, 4))
    assert not torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = True
    environment.prepare("cpu", None, False)
    assert not torch.backends.cudnn.allow_tf32


def test_a_run_tells_how_far_16_bits_move_probabilities(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for bits in ("fp32", "bf16", "tf32"):
        cfg = compose_config(*TINY, "method=mp2", "method.max_steps=2", f"precision={bits}",
                             f"store={tmp_path}/store")  # fmt: skip
        experiment.run(cfg, tmp_path / bits)
    values = load_summary(tmp_path / "bf16").values
    assert 0 < values["precision/largest_difference"] < 0.05
    assert "precision/largest_difference" not in load_summary(tmp_path / "fp32").values
    assert load_summary(tmp_path / "tf32").values["precision/largest_difference"] == 0
    told = capsys.readouterr().out
    assert "Precision:     bf16 moves a probability by" in told
    assert "Precision:     tf32 moves a probability by 0 at most" in told
    assert len(list((tmp_path / "store").rglob("*.npz"))) == 6


def test_the_bits_are_part_of_what_determines_a_heatmap() -> None:
    cfg = compose_config(*TINY, "precision=bf16")
    reduced = experiment.assemble(cfg).classifier
    exact = experiment.assemble(compose_config(*TINY)).classifier
    assert components.identity(reduced)["classifier"] == components.identity(exact)
    assert components.identity(reduced)["precision"] == "bf16"
    assert "device" not in components.identity(reduced)


def test_a_cpu_takes_the_usual_batch() -> None:
    study = experiment.assemble(compose_config(*TINY))
    assert study.cfg.batch_size == environment.USUAL_BATCH


def test_the_batch_is_measured_with_the_bits_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = Mock(return_value=4)
    monkeypatch.setattr(environment, "fitting_batch", measured)
    study = experiment.assemble(compose_config(*TINY, "precision=bf16"))
    assert measured.call_args.args[0] is study.classifier
    assert isinstance(study.classifier, precision.Sixteen)
    assert study.cfg.batch_size == 4


@pytest.mark.parametrize(
    ("total", "free", "expected"),
    [
        (4 * 65 * 1000, 4 * 65 * 1000, 64),
        (4 * 65 * 1000, 3 * 65 * 1000, 64),  # the weights and others take a quarter
        (4 * 65 * 1000, 3 * 33 * 1000, 32),
        (4 * 10**9, 4 * 10**9, 512),
        (4 * 10**9, 10, 1),
    ],
)
def test_a_gpu_takes_what_a_quarter_of_its_memory_holds_unless_others_use_it(
    monkeypatch: pytest.MonkeyPatch, total: int, free: int, expected: int
) -> None:
    """Stands in for the GPU: an image takes 1,000 bytes."""
    used = iter([500, 500 + 1000 * environment.USUAL_BATCH])
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: next(used))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: next(used))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, total))
    zeros = torch.zeros
    monkeypatch.setattr(torch, "zeros", lambda *shape, device: zeros(*shape))
    classifier = LinearClassifier(zeros(3, 4, 4))
    assert environment.fitting_batch(classifier, torch.device("cuda")) == expected


@given(limit=st.integers(-3, 10**6))
def test_batches_are_powers_of_two(limit: int) -> None:
    size = environment.power_of_two(limit)
    assert size.bit_count() == 1
    assert size <= max(limit, 1)
    assert 2 * size > limit or size == environment.LARGEST_BATCH
