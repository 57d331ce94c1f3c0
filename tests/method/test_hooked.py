"""Which layer of a network is taken where the configuration names none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from genattr.errors import UserError
from genattr.method.hooked import drawing, layer_of, outputs_of
from tests.method import hooked_toys as toys


class Deep(nn.Module):
    """Three convolutions that are defined in another order than they run, and one of one pixel."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.third = nn.Conv2d(4, 4, 3, padding=1)
        self.gate = nn.Conv2d(4, 4, 1)
        self.first, self.second = nn.Conv2d(3, 4, 5), nn.Conv2d(4, 4, 3)
        self.head = nn.Linear(4, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.third(self.second(self.first(images)))
        return self.head((maps * self.gate(maps.mean((2, 3), keepdim=True))).mean((2, 3)))


class Normed(Deep):
    """Two layer norms after its convolutions, and one before: it is no transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.last, self.end = (nn.LayerNorm(size) for size in (24, 4, 4))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.end(self.last(super().forward(self.before(images))))


def plain() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * toys.SIZE**2, 4))


@pytest.mark.parametrize("kind", ["Deep", "Normed"])
def test_the_last_convolution_that_runs_on_more_than_one_pixel_is_taken(kind: str) -> None:
    probe = toys.probe(toys.classifier(path=f"{__name__}:{kind}"))
    name, layer = layer_of(probe, None)
    assert name == "third"
    assert layer is probe.network.third
    ran = [each for each, module, _ in outputs_of(probe) if isinstance(module, nn.Conv2d)]
    assert ran == ["first", "second", "third", "gate"]


def test_a_network_without_convolution_needs_a_name() -> None:
    probe = toys.probe(toys.classifier(path=f"{__name__}:plain"))
    with pytest.raises(UserError, match=r"^method\.layer: .* has no convolution: give a layer by"):
        layer_of(probe, None)
    with pytest.raises(UserError, match=r"^method\.layer=nothing: .* the last ones are 0, 1$"):
        layer_of(probe, "nothing")


def test_each_photo_and_purpose_draws_numbers_of_its_own() -> None:
    def drawn(seed: int, purpose: str = "lime") -> tuple[float, float]:
        with drawing(toys.probe(of, seed=seed), purpose):
            return float(np.random.rand()), float(torch.rand(()))

    of = toys.classifier()
    of_numpy, of_torch = zip(*map(drawn, range(150)), strict=True)
    assert len({*of_numpy}) == len({*of_torch}) == 150
    assert drawn(3) == drawn(3) != drawn(3, "captum")
