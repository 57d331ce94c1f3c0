"""The network of EfficientNet-Lite is timm's: names, order and outputs."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from genattr.classifier.lite_network import SCALES, Variant, efficientnet_lite


def with_statistics(network: nn.Module) -> nn.Module:
    """Give the batch norms statistics that matter."""
    torch.manual_seed(0)
    for name, value in network.state_dict().items():
        if "bn" in name and value.is_floating_point():
            value.uniform_(0.5, 1.5)
    return network.eval()


@torch.no_grad()
@pytest.mark.parametrize("variant", SCALES)
def test_it_is_timms(variant: Variant) -> None:
    theirs = with_statistics(timm.create_model(f"tf_efficientnet_{variant}"))
    ours = efficientnet_lite(variant).eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    for size in (64, 67):
        images = torch.rand(2, 3, size, size)
        assert torch.equal(ours(images), theirs(images))
        assert ours(images).std() > 0.01
