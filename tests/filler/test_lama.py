"""LaMa's file: fetched, checked, and called in its convention. The real one is not tested here."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from genattr.errors import UserError
from genattr.filler.lama import Lama
from tests.contract.options import built, compose_config
from tests.toys import torchscript_file


class Checked(nn.Module):
    """Refuses what LaMa would not take; paints the hole white."""

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        assert image.shape[2] % 8 == 0
        assert image.shape[3] % 8 == 0
        assert mask.shape[1] == 1
        assert bool(((image >= 0) & (image <= 1)).all())
        return image * (1 - mask) + mask


def build(*overrides: str) -> Lama:
    return built(compose_config("filler=lama", *overrides).filler, "filler")


def paints_white(filler: Lama) -> None:
    images = torch.rand(2, 3, 21, 21)
    hole = torch.zeros(2, 1, 21, 21, dtype=torch.bool)
    hole[..., 3:11, 10:21] = True
    filled = filler.fill(images, hole, [0, 0])
    assert torch.allclose(filled, images.masked_fill(hole, 1.0))


def test_it_takes_rgb_from_0_to_1_and_1_in_the_hole(tmp_path: Path) -> None:
    file = torchscript_file(tmp_path, Checked())
    paints_white(build("trust=true", f"filler.checkpoint={file}"))
    paints_white(build("trust=true", f"filler.checkpoint={file}", "filler.context=4"))


def test_the_cached_file_is_used_once_its_hash_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENATTR_CACHE", str(tmp_path))
    file = torchscript_file(tmp_path, Checked(), "big-lama.pt")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    paints_white(build(f"filler.weights.sha256='{digest}'"))
    with pytest.raises(UserError, match=f"{file} is not the expected file: sha256 {digest[:12]}"):
        paints_white(build())


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(UserError, match=r"^filler\.checkpoint=/none\.pt: no such file$"):
        build("filler.checkpoint=/none.pt")
