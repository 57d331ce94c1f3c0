"""Networks from TorchScript files: called as the keys say, and refused in one line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from genattr import components
from genattr.errors import UserError
from genattr.protocols import Filler
from tests.contract.options import built, compose_config
from tests.toys import Rim, torchscript_file


class Painter(nn.Module):
    """Paints the hole in a color of its own value range, and keeps what it is shown elsewhere."""

    def __init__(self, color: list[float], keep: bool = False) -> None:
        super().__init__()
        self.register_buffer("color", torch.tensor(color).view(1, 3, 1, 1))
        self.keep = keep

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        hole = 1 - mask if self.keep else mask
        return image * (1 - hole) + self.color * hole


class MaskFirst(Painter):
    def forward(self, mask: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        return image * 0, image * (1 - mask) + self.color * mask


class Together(Painter):
    def forward(self, both: Tensor) -> dict[str, Tensor]:
        image, ones, mask = both[:, :3], both[:, 3:4], both[:, 4:]
        return {"coarse": ones * mask, "fine": image * (ones - mask) + self.color * mask}


class Dice(nn.Module):
    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        return torch.rand_like(image)


class Fussy(nn.Module):
    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        return image.view(1, 3, 5, 5)


def build(folder: Path, network: nn.Module, *overrides: str) -> Filler:
    path = f"filler.path={torchscript_file(folder, network)}"
    return built(
        compose_config("filler=torchscript", path, "trust=true", *overrides).filler, "filler"
    )


def scene(rows: int = 3, size: int = 13) -> tuple[Tensor, Tensor]:
    images = torch.rand(rows, 3, size, size, generator=torch.Generator().manual_seed(0))
    hole = torch.zeros(rows, 1, size, size, dtype=torch.bool)
    for row in range(rows):
        hole[row, :, 2 + row : 9, 3 : 7 + row] = True
    return images, hole


@pytest.mark.parametrize(
    ("network", "overrides"),
    [
        (Painter([0.2, 0.4, 0.6]), []),
        (Painter([-0.6, -0.2, 0.2]), ["filler.value_range=[-1,1]"]),
        (Painter([153.0, 102.0, 51.0]), ["filler.value_range=[0,255]", "filler.channels=bgr"]),
        (Painter([0.2, 0.4, 0.6], keep=True), ["filler.mask=keep"]),
        (MaskFirst([0.2, 0.4, 0.6]), ["filler.arguments=[mask,image]", "filler.output=1"]),
        (
            Together([0.2, 0.4, 0.6]),
            ["filler.arguments=[image+ones+mask]", "filler.output=fine", "filler.multiple=1"],
        ),
    ],
)
def test_the_keys_say_how_it_is_called(
    tmp_path: Path, network: nn.Module, overrides: list[str]
) -> None:
    images, hole = scene()
    color = torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1)
    filled = build(tmp_path, network, *overrides).fill(images, hole, [0, 0, 0])
    assert torch.allclose(filled, torch.where(hole, color, images), atol=1e-6)


def test_it_finds_the_blank_in_the_hole(tmp_path: Path) -> None:
    images, hole = scene()
    network = Painter([0, 0, 0], keep=True)  # takes the known for the hole, and keeps the hole
    keys = ["filler.blank=0.25", "filler.value_range=[-1,1]"]
    filled = build(tmp_path, network, *keys).fill(images, hole, [0, 0, 0])
    expected = torch.where(hole, torch.tensor(0.25), torch.tensor(0.5)).expand_as(images)
    assert torch.allclose(filled, expected)


def test_a_network_that_draws_does_so_from_its_rows_seed(tmp_path: Path) -> None:
    images, hole = scene()
    filler = build(tmp_path, Dice(), "filler.draws=true", "filler.batch_size=2")
    assert filler.stochastic
    state = torch.random.get_rng_state()
    together = filler.fill(images, hole, [7, 8, 7])
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(together[0], together[2])
    assert not torch.equal(together[0], together[1])
    for row, seed in enumerate([7, 8, 7]):
        alone = filler.fill(images[row : row + 1], hole[row : row + 1], [seed])
        assert torch.equal(alone[0], together[row])


def test_the_files_content_is_its_identity(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first, moved = build(tmp_path, Rim()), build(tmp_path / "other", Rim())
    assert components.identity(first) == components.identity(moved)
    assert re.fullmatch("[0-9a-f]{16}", components.identity(first)["weights"])
    assert components.identity(first) != components.identity(build(tmp_path / "other", Dice()))


def test_it_is_called_by_its_files_name(tmp_path: Path) -> None:
    assert build(tmp_path, Rim()).title == "toy"


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["filler.arguments=[image]"], "filler.arguments: no mask among them"),
        (["filler.arguments=[image+hole]"], "filler.arguments: hole: must be image, mask, or a "),
        (["filler.value_range=[1,0]"], "filler.value_range=[1, 0]: black must be below white"),
        (["filler.output_range=[1,0]"], "filler.output_range=[1, 0]: black must be below white"),
        (["filler.output_range=255"], "filler.output_range=255: "),
        (["filler.value_range=[0,1,2]"], "filler.value_range=[0, 1, 2]: "),
        (["filler.multiple=0"], "filler.multiple=0: must be at least 1"),
        (["filler.mask=removed"], "filler.mask=removed: must be hole or keep"),
        (["filler.channels=hsv"], "filler.channels=hsv: must be rgb or bgr"),
        (["filler.context=near"], "filler.context=near: must be full or at least 0"),
        (["filler.size=0"], "filler.size=0: must be at least 1"),
    ],
)
def test_wrong_keys_are_told(tmp_path: Path, overrides: list[str], told: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(told)}"):
        build(tmp_path, Rim(), *overrides)


@pytest.mark.parametrize(
    ("network", "overrides", "told"),
    [
        (Fussy(), [], r"fails on \(1, 3, 16, 16\), \(1, 1, 16, 16\) \(filler\.arguments, "),
        (Together([0, 0, 0]), ["filler.arguments=[image+mask]"], "fails on"),
        (MaskFirst([0, 0, 0]), ["filler.output=2"], r"filler\.output=2: .* there is 0, 1$"),
    ],
)
def test_a_network_that_does_not_fit_is_told(
    tmp_path: Path, network: nn.Module, overrides: list[str], told: str
) -> None:
    with pytest.raises(UserError, match=told) as caught:
        build(tmp_path, network, *overrides).fill(*scene(), [0, 0, 0])
    assert "\n" not in str(caught.value)


def test_no_file_and_no_torchscript_are_told(tmp_path: Path) -> None:
    def open_file(*path: str) -> Filler:
        return built(compose_config("filler=torchscript", "trust=true", *path).filler, "filler")

    with pytest.raises(UserError, match=r"^filler=torchscript needs filler\.path=/path/to"):
        open_file()
    with pytest.raises(UserError, match=r"^filler\.path=/none\.pt: no such file$"):
        open_file("filler.path=/none.pt")
    torch.save({"weights": torch.zeros(2)}, tmp_path / "state.pt")
    filler = open_file(f"filler.path={tmp_path}/state.pt")
    with pytest.raises(UserError, match=r"state\.pt: not a TorchScript file: "):
        filler.fill(*scene(), [0, 0, 0])
