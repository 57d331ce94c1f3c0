"""A classifier around a toy network, for methods that hook into its layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from genattr.classifier.callable import CallableClassifier
from genattr.method.hooked import HOOKS
from genattr.probe import Probe
from genattr.protocols import Classifier
from tests.conftest import ConstantFiller, photo

SIZE = 24


class Striped(nn.Module):
    """Convolution, ReLU in place, convolution, pool; with the same weights each time."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 6, 3, stride=2)
        self.act = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(6, 5, 3)
        self.act2 = nn.ReLU(inplace=True)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(5, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.act2(self.second(self.act(self.first(images))))
        return self.head(self.pool(maps).flatten(1))


class Tokens(nn.Module):
    """Patches, three layer norms, and a class by the mean token, as in vision transformers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(3, 8, 6, stride=6)
        self.norm1, self.norm2, self.norm = nn.LayerNorm(8), nn.LayerNorm(8), nn.LayerNorm(8)
        self.head = nn.Linear(8, 4)
        self.first = nn.Parameter(torch.zeros(1, 1, 8))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(images).flatten(2).mT
        tokens = torch.cat([self.first.expand(len(images), -1, -1), tokens], dim=1)
        tokens = self.norm1(tokens).relu() + tokens
        return self.head(self.norm(self.norm2(tokens)).mean(dim=1))


def striped() -> nn.Module:
    return Striped()


def tokens() -> nn.Module:
    return Tokens()


def classifier(name: str = "striped", **changes: Any) -> Classifier:
    values = {
        "path": f"tests.method.hooked_toys:{name}", "input_size": SIZE, "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.25, 0.3], "outputs": "logits", "labels": None,
    }  # fmt: skip
    return CallableClassifier(**(values | changes))


def probe(of: Classifier | None = None, target: int = 2, **options: Any) -> Probe:
    """Return a probe of a noise photo with a black filler."""
    return Probe(photo(SIZE), target, of or classifier(), ConstantFiller(), batch_size=8, **options)


def hooks_of(network: nn.Module) -> int:
    return sum(len(getattr(module, name)) for module in network.modules() for name in HOOKS)
