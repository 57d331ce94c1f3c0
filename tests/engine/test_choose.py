"""Which engine runs, what is said about it, and that a probe's scores are the same on both."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision import models

from genattr.classifier import precision
from genattr.classifier.efficientnet_lite import EfficientNetLite
from genattr.engine import choose
from genattr.engine.choose import Engine
from genattr.engine.window import Kernel
from genattr.errors import UserError
from genattr.filler.mirror import Mirror
from genattr.method.sp import windows
from genattr.ops.crops import cut_out
from genattr.probe import Probe
from genattr.protocols import Classifier
from genattr.run.experiment import assemble
from genattr.types import RectangleHoles
from tests.classifier.test_folding import trained
from tests.conftest import ConstantFiller, NoiseFiller, linear_probe, photo
from tests.contract.options import built, compose_config
from tests.contract.options import small as small_run


@dataclass(frozen=True)
class Wrapped(Classifier):
    """A network as a classifier of small photos."""

    network: nn.Module
    input_size: int = 64
    labels: tuple[str, ...] = field(default=tuple(map(str, range(7))))
    fingerprint: str = "wrapped"

    def to(self, device: torch.device) -> None:
        self.network.to(device)

    def __call__(self, images: Tensor) -> Tensor:
        return self.network((images - 0.5) / 0.25)


def small(head: nn.Module | None = None) -> nn.Module:
    """Return a network whose windows pay, with something before its pooled head."""
    torch.manual_seed(0)
    last = nn.Linear(16, 7)
    last.weight.data *= 50
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, padding=1),
        nn.ReLU(),
        head or nn.Identity(),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        last,
    ).eval()


class Squeeze(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:
        return maps * maps.mean(dim=(2, 3), keepdim=True).sigmoid()


class Turn(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:
        return maps.flip(3)


class Leave(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:
        return torch.from_numpy(maps.numpy() * 2)


class Read(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:
        return maps * float(maps.abs().max())


class RowWise(nn.Module):
    def forward(self, maps: Tensor) -> Tensor:
        return maps * torch.linspace(0, 1, maps.shape[2])[:, None]


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (Squeeze(), "mean of 8 x 32 x 32 is not local, and 84% of the multiply-adds"),
        (Turn(), "flip of 8 x 32 x 32 is not local"),
        (RowWise(), "mul of 8 x 32 x 32"),
        (Leave(), "its probabilities differ from the dense path"),
        (Read(), "the network cannot be traced (RuntimeError: "),
    ],
)
def test_what_is_not_local_takes_the_dense_path_and_says_why(
    layer: nn.Module, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "genattr")
    classifier = Wrapped(small(layer))
    assert not Engine("auto", classifier, 32).is_incremental
    (line,) = caplog.messages
    assert line.startswith("engine: dense, because ")
    assert reason in line
    with pytest.raises(UserError, match=r"engine=incremental: .*; engine=auto takes the dense"):
        _ = Engine("incremental", classifier, 32).is_incremental


def test_what_pytorch_does_not_compute_is_not_traced() -> None:
    keys = ["classifier.name=test_resnet", "classifier.pretrained=false"]
    target = "classifier._target_=tests.toys.WithoutGradient"
    cfg = compose_config("classifier=timm", *keys, target)
    engine = Engine("auto", built(cfg.classifier, "classifier"), 32)
    assert engine.obstacle == "test_resnet is no PyTorch network, whose steps could be told"


@pytest.mark.parametrize("name", ["test_vit", "mobilenetv3_small_050", "test_convnext"])
def test_attention_and_squeeze_excite_take_the_dense_path(name: str) -> None:
    network = timm.create_model(name, num_classes=7).eval()
    size = network.default_cfg["input_size"][-1]
    assert not Engine("auto", Wrapped(network, size), 32).is_incremental


def test_windows_that_go_wrong_are_noticed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    classifier = Wrapped(trained(models.resnet18(num_classes=7)))
    caplog.set_level(logging.INFO, "genattr")
    assert Engine("auto", classifier, 32).is_incremental
    assert caplog.messages == ["engine: incremental"]
    changed = Kernel.changed

    def one_too_few(kernel: Kernel, start: object, stop: object) -> object:
        first, last = changed(kernel, start, stop)
        return first, (last - 1).clip(first + 1)

    monkeypatch.setattr(Kernel, "changed", one_too_few)
    assert not Engine("auto", classifier, 32).is_incremental
    assert "differ from the dense path" in caplog.messages[-1]


def test_a_wrong_mode_is_refused() -> None:
    with pytest.raises(UserError, match="engine=fast: must be auto, incremental, dense or plain"):
        Engine("fast", Wrapped(small()), 32)


def test_dense_traces_nothing() -> None:
    engine = Engine("dense", Wrapped(small()), 32)
    assert not engine.is_incremental
    assert "graph" not in engine.__dict__


@pytest.fixture(scope="module")
def lite0() -> EfficientNetLite:
    cfg = compose_config("classifier=efficientnet_lite0")
    return built(cfg.classifier, "classifier")


@pytest.mark.parametrize("filler", [ConstantFiller(0.4), NoiseFiller(), Mirror(4.0)])
def test_lite0_by_windows_and_photo_by_photo(lite0: EfficientNetLite, filler: object) -> None:
    holes = RectangleHoles(windows(224, 29, 3).boxes[40::331], 224)
    scores, counts = [], []
    for engine in (Engine("incremental", lite0, 8), Engine("dense", lite0, 8)):
        seen: list[int] = []
        probe = Probe(
            photo(224), 3, lite0, filler, batch_size=8, on_scored=seen.append, engine=engine
        )
        scores.append(probe.score(holes))
        counts.append((probe.counts.scored, probe.counts.filled, sum(seen)))
    assert float((scores[0] - scores[1]).abs().max()) < 1e-5
    assert float(scores[1].std()) > 1e-7
    assert counts[0] == counts[1] == (14, 14 if filler.reads_hole else 1, 14)


def probe_of(classifier: Classifier, mode: str, filler: object = None, seed: int = 0) -> Probe:
    engine = Engine(mode, classifier, 8)
    return Probe(
        photo(64, seed), 3, classifier, filler or NoiseFiller(), batch_size=8, engine=engine
    )


def test_a_run_as_it_comes_is_incremental(tmp_path: Path) -> None:
    study = assemble(small_run(tmp_path))
    assert study.engine.mode == "auto"
    assert study.engine.is_incremental
    assert not assemble(small_run(tmp_path, "engine=dense")).engine.is_incremental


def test_rectangles_of_any_kind() -> None:
    classifier = Wrapped(small())
    boxes = [[0, 0, 64, 64], [3, 4, 9, 30], [-5, -5, 6, 6], [60, 2, 80, 9], [5, 5, 5, 9]]
    boxes += [[0, 0, 0, 0], [63, 63, 64, 64], [3, 4, 9, 30], [70, 70, 80, 80]]
    holes = RectangleHoles(torch.tensor(boxes), 64)
    found = probe_of(classifier, "incremental").score(holes)
    expected = probe_of(classifier, "dense").score(holes)
    assert torch.allclose(found, expected, rtol=1e-4, atol=0)
    assert expected[1] == expected[7]
    assert float(expected.std() / expected.mean()) > 1e-2


def test_bit_equal_whatever_came_before() -> None:
    classifier = Wrapped(small())
    holes = windows(64, 9, 5)
    engine = Engine("incremental", classifier, 8)

    def score(seed: int) -> Tensor:
        probe = Probe(photo(64, seed), 3, classifier, NoiseFiller(), batch_size=8, engine=engine)
        return probe.score(holes)

    alone = score(1)
    score(2)
    assert torch.equal(score(1), alone)
    assert torch.equal(probe_of(classifier, "incremental", seed=1).score(holes), alone)


@pytest.mark.parametrize(("patch_size", "stride"), [(9, 7), (5, 11), (32, 9), (64, 3)])
def test_a_last_window_at_the_edge_scores_as_in_whole_passes(patch_size: int, stride: int) -> None:
    classifier = Wrapped(small())
    holes = windows(64, patch_size, stride)
    found = probe_of(classifier, "incremental").score(holes)
    assert torch.allclose(found, probe_of(classifier, "dense").score(holes), rtol=1e-4, atol=0)


def test_other_holes_never_reach_the_engine() -> None:
    class Refusing(Engine):
        def logits(self, *_: object) -> object:
            raise AssertionError

    classifier = Wrapped(small())
    probe = Probe(
        photo(64), 3, classifier, ConstantFiller(), engine=Refusing("auto", classifier, 8)
    )
    assert probe.original == float(probe_of(classifier, "dense").original)


def test_a_twin_with_another_filler_keeps_the_engine() -> None:
    classifier = Wrapped(small())
    probe = probe_of(classifier, "incremental")
    assert probe.with_filler(ConstantFiller())._engine is probe._engine
    assert linear_probe()._engine is None


def test_cut_out_of_one_photo_expanded_and_of_many() -> None:
    images = torch.rand(4, 3, 9, 11)
    boxes = torch.tensor([[0, 0, 3, 2], [8, 7, 11, 9], [4, 1, 7, 3], [0, 7, 3, 9]])
    for given in (
        images,
        images[:1].expand(4, -1, -1, -1),
        images.flip(1)[1:2].expand(4, -1, -1, -1),
    ):
        expected = [
            image[:, y0:y1, x0:x1]
            for image, (x0, y0, x1, y1) in zip(given, boxes.tolist(), strict=True)
        ]
        assert torch.equal(cut_out(given, boxes), torch.stack(expected))


class Padded(nn.Module):
    """Pads wider on one side, as TensorFlow does, before autocast casts the map."""

    def __init__(self) -> None:
        super().__init__()
        self.rest = small()

    def forward(self, images: Tensor) -> Tensor:
        return self.rest(nn.functional.pad(images, (0, 1, 0, 1)))


@pytest.mark.parametrize("bits", ["bf16", "fp16"])
def test_windows_of_fewer_bits(bits: str) -> None:
    classifier = precision.reduce(Wrapped(Padded().eval()), bits, torch.device("cpu"))
    engine = Engine("auto", classifier, 8)
    assert engine.obstacle == ""
    sample, target = photo(64), 3
    holes = windows(64, 16, 12)
    fast, whole, exact = (
        Probe(sample, target, one, ConstantFiller(), engine=with_engine).score(holes)
        for one, with_engine in ((classifier, engine), (classifier, None), (classifier.exact, None))
    )
    assert (fast - whole).abs().max() <= (whole - exact).abs().max()


def test_windows_that_differ_by_more_than_the_bits_do_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    classifier = precision.reduce(Wrapped(small()), "bf16", torch.device("cpu"))
    assert Engine("auto", classifier, 8).obstacle == ""
    monkeypatch.setattr(choose, "cut_out", lambda images, boxes: cut_out(images, boxes) * 0.5)
    assert "differ from the dense path" in Engine("auto", classifier, 8).obstacle
