"""Folding keeps the function and the gradient of real architectures."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn
from torchvision import models

from genattr.classifier.folding import fold_batch_norm


def trained(network: nn.Module) -> nn.Module:
    """Give the batch norms statistics that matter."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize(
    "build",
    [
        lambda: timm.create_model("test_resnet"),
        lambda: timm.create_model("tf_efficientnet_lite0"),
        lambda: models.resnet18(),
        lambda: models.densenet121(),
    ],
    ids=["timm-resnet", "lite0", "resnet18", "densenet121"],
)
def test_same_output_and_gradient(build: object) -> None:
    torch.manual_seed(0)  # or else a unit that is nearly 0 in a random network may change sides
    network = trained(build())
    images = torch.rand(2, 3, 64, 64, requires_grad=True)
    folded = fold_batch_norm(network, images[:1].detach())
    assert norms(folded) < norms(network)
    outputs = [net(images) for net in (network, folded)]
    assert torch.allclose(*outputs, rtol=1e-3, atol=1e-4)
    gradients = [torch.autograd.grad(output[:, 0].sum(), images)[0] for output in outputs]
    assert torch.allclose(*gradients, rtol=1e-2, atol=1e-4)


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def test_a_convolution_that_is_read_elsewhere_stays_correct() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x)
            return (self.norm(y) + y).mean(dim=(2, 3))

    network = trained(Branching())
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(fold_batch_norm(network, images)(images), network(images))


def test_a_norm_without_statistics_of_its_own_is_left_alone() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4, track_running_stats=False),
        nn.Conv2d(4, 4, 3),
        nn.BatchNorm2d(4),
        nn.Flatten(),
    ).eval()
    images = torch.rand(2, 3, 8, 8)
    folded = fold_batch_norm(network, images)
    assert (norms(network), norms(folded)) == (2, 1)
    assert torch.allclose(folded(images), network(images), rtol=1e-4, atol=1e-5)
