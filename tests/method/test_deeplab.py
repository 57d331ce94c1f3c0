"""The object's segment by DeepLab, with a network whose answer is known."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from genattr.errors import UserError
from genattr.method.deeplab import DeepLab, categories
from tests.conftest import linear_probe
from tests.contract.options import built, compose_config


class Halves(nn.Module):
    """A bird on the left where the photo is dark, a sofa on the right; else background."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        scores = torch.zeros(len(images), 21, *images.shape[2:])
        scores[:, 0] = 1
        scores[:, categories().index("bird"), :, :6] = 2
        scores[:, categories().index("sofa"), :, 6:] = 2
        scores[:, 0] += 9 * (images.mean(dim=1) > 0)
        return {"out": scores}


def method(classes: Sequence[str] | None, objective: str = "deletion") -> DeepLab:
    found = DeepLab(classes, objective, None)
    found.__dict__["network"] = Halves()
    return found


@pytest.mark.parametrize(
    ("classes", "columns"), [(["bird"], 6), (["bird", "sofa"], 12), (None, 12)]
)
def test_the_map_is_one_where_the_object_is(classes: list[str] | None, columns: int) -> None:
    probe = linear_probe(12)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    dark = ((probe.image - mean) / std).mean(dim=0) <= 0
    expected = dark & (torch.arange(12) < columns)
    heatmap = method(classes).explain(probe)
    assert torch.equal(heatmap.values.bool(), expected)
    assert 0 < expected.sum() < 144
    assert torch.equal(method(classes).removed(heatmap, 12)[0, 0], expected)
    assert torch.equal(method(classes, "preservation").removed(heatmap, 12)[0, 0], ~expected)


def test_a_class_that_voc_lacks_is_told_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"method\.classes=\['tench'\]: DeepLab knows aeroplane, "):
        DeepLab(["bird", "tench"], "deletion", None)


def test_its_weights_are_what_is_fetched() -> None:
    chosen = built(compose_config("method=deeplab").method, "method")
    assert list(chosen.assets) == [chosen.weights]
    assert list(DeepLab(None, "deletion", None).assets) == []


def test_the_network_has_a_score_for_each_category() -> None:
    network = DeepLab(None, "deletion", None).network
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 32, 32))["out"].shape == (1, len(categories()), 32, 32)
    assert not network.training
    assert any(name.startswith("aux_classifier.") for name in network.state_dict())
