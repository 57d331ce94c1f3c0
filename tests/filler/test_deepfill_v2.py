"""DeepFill-v2: the published recipe on random weights, and the files that ports of it come in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from genattr import components
from genattr.errors import UserError
from genattr.filler.deepfill_v2 import DeepFillV2
from tests.contract.options import built, compose_config
from tests.filler import gated_deepfill as twin
from tests.filler.test_deepfill_network import scene

ATOL = 5e-5


def build(file: Path, *overrides: str) -> DeepFillV2:
    keys = [f"filler.{override}" for override in (f"checkpoint={file}", "size=null", *overrides)]
    return built(compose_config("filler=deepfill_v2", *keys).filler, "filler")


@pytest.mark.parametrize("ported", [False, True], ids=["authors", "port"])
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_it_is_the_published_recipe(
    tmp_path: Path, ported: bool, fused: bool, channels: str
) -> None:
    images, holes = scene(5, 2, (48, 64))
    filler = build(twin.write(tmp_path, ported), f"fuse={fused}", f"channels={channels}")
    filled = filler.fill((images + 1) / 2, holes > 0, [0, 0])
    order = [0, 1, 2] if channels == "rgb" else [2, 1, 0]
    expected = twin.Published(ported, fused)(images[:, order], holes)[:, order]
    assert torch.allclose(filled * 2 - 1, expected, rtol=0, atol=ATOL)
    assert (expected - images)[holes.expand_as(images) > 0].abs().mean() > 0.05


@pytest.mark.parametrize("ported", [False, True], ids=["authors", "port"])
def test_every_tensor_of_a_file_is_used(tmp_path: Path, ported: bool) -> None:
    network = build(twin.write(tmp_path, ported)).network
    assert len(network.state_dict()) == len(twin.state(ported)) == 84
    found = sorted(float(value.double().sum()) for value in network.state_dict().values())
    assert found == sorted(float(value.double().sum()) for value in twin.state(ported).values())


def test_who_pads_is_part_of_the_identity(tmp_path: Path) -> None:
    identities = set()
    for ported in (False, True):
        (tmp_path / str(ported)).mkdir()
        filler = build(twin.write(tmp_path / str(ported), ported))
        identities.add(components.identity(filler)["weights"])
        assert (filler.inpaints, filler.reads_hole, filler.stochastic) == (True, True, False)
    first, second = sorted(identities)
    assert first.startswith("original-")
    assert second.startswith("ported-")
    assert first.partition("-")[2] == second.partition("-")[2]


def test_a_file_of_another_network_is_told(tmp_path: Path) -> None:
    torch.save({"conv1.conv.weight": torch.zeros(2, 2)}, tmp_path / "x.pth")
    told = r"x\.pth does not fit DeepFill-v2: it lacks coarse\.conv1\.bias, .* and \d+ more"
    with pytest.raises(UserError, match=told):
        _ = build(tmp_path / "x.pth").network


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ([], "filler=deepfill_v2 needs filler.checkpoint=/path/to.pth"),
        (["filler.checkpoint=/no/such.pth"], "filler.checkpoint=/no/such.pth: no such file"),
    ],
)
def test_a_missing_file_is_told(overrides: list[str], told: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(told)}$"):
        built(compose_config("filler=deepfill_v2", *overrides).filler, "filler")


def test_each_choice_moves_the_result() -> None:
    images, holes = scene(5, 2, (48, 64))
    recipes = [twin.Published(ported, fused) for ported in (False, True) for fused in (False, True)]
    results = [recipe(images, holes) for recipe in recipes]
    for first, second in zip(results, [*results[1:], results[0]], strict=True):
        assert (first - second).abs().max() > 20 * ATOL
