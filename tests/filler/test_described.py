"""What is told of a network from a file is checked on its images: ranges, and the polarity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut, chelsea
from torch import Tensor, nn
from torch.nn import functional

from genattr.components import identity
from genattr.errors import UserError
from genattr.filler.described import DescribedInpainter
from genattr.filler.lama import Lama
from genattr.run import experiment
from tests.contract.options import built, compose_config, small_on_three_photos
from tests.filler.test_torchscript import Painter
from tests.filler.test_torchscript import build as build_torchscript
from tests.toys import torchscript_file

Network = Callable[[Tensor, Tensor], Tensor]
COLOR = torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1)
KEYS = {
    "path": "net",
    "size": None,
    "dilate": 0,
    "context": "full",
    "batch_size": 1,
    "value_range": (0, 1),
    "output_range": None,
    "channels": "rgb",
    "mask": "hole",
    "blank": 0.5,
    "multiple": 1,
}


@dataclass(frozen=True, kw_only=True)
class Told(DescribedInpainter):
    """A network that is a function, and counts its calls."""

    network: Network
    calls: list[int]

    def synthesize(self, images: Tensor, hole: Tensor, seeds: object) -> Tensor:
        self.calls.append(len(images))
        return self.network(images, hole)


def told(network: Network, **keys: object) -> Told:
    return Told(network=network, calls=[], **(KEYS | keys))


def scene(side: int = 64) -> tuple[Tensor, Tensor]:
    """Return a photo, and a hole where nothing around is dark or gray."""
    pixels = np.asarray(Image.fromarray(astronaut()).resize((side, side))).copy()
    images = torch.from_numpy(pixels).permute(2, 0, 1).float()[None] / 255
    images[..., 8:48, 24:56] = 0.3 * images[..., 8:48, 24:56] + 0.65
    hole = torch.zeros(1, 1, side, side, dtype=torch.bool)
    hole[..., 20:34, 34:46] = True
    return images, hole


def paint(images: Tensor, hole: Tensor) -> Tensor:
    return images * (1 - hole) + COLOR * hole


def in_range(low: float, high: float, network: Network = paint) -> Network:
    """Let a network that takes [0, 1] give another range."""
    return lambda images, hole: low + (high - low) * network(images, hole)


def taking(low: float, high: float, network: Network = paint) -> Network:
    """Let a network take another range."""
    return lambda images, hole: network((images - low) / (high - low), hole)


def smooth(images: Tensor, hole: Tensor) -> Tensor:
    """Give back a blurred photo of less contrast, as an autoencoder may."""
    return 0.08 + 0.85 * functional.avg_pool2d(paint(images, hole), 3, 1, 1)


@pytest.mark.parametrize("network", [paint, smooth])
@pytest.mark.parametrize("given", [(0, 255), (-1, 1), (0, 1), (-0.5, 0.5)])
@pytest.mark.parametrize("taken", [(0, 255), (-1, 1), (0, 1)])
def test_the_output_may_have_a_range_of_its_own(
    network: Network, taken: tuple[float, float], given: tuple[float, float]
) -> None:
    images, hole = scene()
    expected = told(network).fill(images, hole, [0])
    apart = taking(*taken, in_range(*given, network))
    filled = told(apart, value_range=taken, output_range=given).fill(images, hole, [0])
    assert torch.allclose(filled, expected, atol=1e-5)
    if taken == given:
        alike = told(apart, value_range=taken)
        assert torch.equal(alike.fill(images, hole, [0]), filled)
        return
    with pytest.raises(UserError) as caught:
        told(apart, value_range=taken).fill(images, hole, [0])
    assert "filler.path=net gives " in str(caught.value)
    assert "set filler.output_range" in str(caught.value)
    if network is paint:
        assert str(caught.value).endswith(f"such as [{given[0]:g},{given[1]:g}]")


def test_no_range_is_proposed_that_no_network_has() -> None:
    with pytest.raises(UserError, match=r"to 65025, far from the told 0 to 255: set [a-z_., ]*$"):
        told(in_range(0, 255), value_range=(0, 255)).fill(*scene(), [0])


def test_the_range_of_the_output_is_in_keys_where_it_differs() -> None:
    same = told(paint)
    assert "output_range" not in identity(same)
    assert identity(told(paint, output_range=(0, 1))) == identity(same)
    assert identity(told(paint, output_range=(0, 255)))["output_range"] == (0, 255)


def hole_alone(low: float, high: float) -> Network:
    """Paste the kept pixels as they came, and give the hole in another range."""
    return lambda images, hole: torch.where(hole > 0, low + (high - low) * COLOR, images)


@pytest.mark.parametrize(
    ("network", "keys", "likely"),
    [
        (hole_alone(0, 255), {}, "[0,255]"),
        (hole_alone(0, 1), {"value_range": (0, 255)}, "[0,1]"),
        (hole_alone(-1, 1), {"value_range": (0, 255)}, "[-1,1]"),
        (in_range(0, 255, lambda x, hole: COLOR.expand_as(x)), {}, "[0,255]"),
    ],
)
def test_holes_in_another_range_are_told(network: Network, keys: dict, likely: str) -> None:
    with pytest.raises(UserError, match=r"^filler\.path=net gives holes from about ") as caught:
        told(network, **keys).fill(*scene(), [0])
    assert str(caught.value).endswith(f"such as {likely}")
    assert "\n" not in str(caught.value)


def overshoot(images: Tensor, hole: Tensor) -> Tensor:
    return 1.16 * paint(images, hole) - 0.08


def only_the_hole(images: Tensor, hole: Tensor) -> Tensor:
    return COLOR * hole


def blind(images: Tensor, hole: Tensor) -> Tensor:
    return functional.avg_pool2d(images, 9, 1, 4)


def constant(value: float) -> Network:
    return lambda images, hole: torch.full_like(images, value)


def baseline(value: float) -> Network:
    return lambda images, hole: torch.where(hole > 0, value, images)


def wild_elsewhere(images: Tensor, hole: Tensor) -> Tensor:
    return COLOR * hole + 50 * images.flip(2) * (1 - hole)


FINE = [
    paint, smooth, overshoot, only_the_hole, blind, wild_elsewhere, constant(0.0), constant(0.5),
    constant(1.0), baseline(0.0), baseline(0.5), baseline(1.0), lambda images, hole: images,
]  # fmt: skip


@pytest.mark.parametrize("network", FINE)
@pytest.mark.parametrize("photo", [astronaut, chelsea])
def test_no_network_is_refused_for_what_it_paints(
    network: Network, photo: Callable[[], np.ndarray]
) -> None:
    pixels = np.asarray(Image.fromarray(photo()).resize((48, 48))).copy()
    images = torch.from_numpy(pixels).permute(2, 0, 1).float()[None] / 255
    for value_range in ((0, 1), (-1, 1), (0, 255)):
        there = taking(*value_range, in_range(*value_range, network))
        filler = told(there, value_range=value_range)
        for corner in range(0, 40, 8):
            hole = torch.zeros(1, 1, 48, 48, dtype=torch.bool)
            hole[..., corner : corner + 9, corner : corner + 9] = True
            filled = filler.fill(images, hole, [0])
            expected = network(images.masked_fill(hole, 0.5), hole.float()).clamp(0, 1)
            assert torch.allclose(filled, expected, atol=2e-5)
        assert 5 <= len(filler.calls) <= 5 + 3


def turned(network: Network) -> Network:
    return lambda images, hole: network(images, 1 - hole)


def through(images: Tensor, hole: Tensor) -> Tensor:
    """Fill by what is near, and see all of the photo, whatever the mask says."""
    near = functional.avg_pool2d(images * (1 - hole), 31, 1, 15)
    near = near / functional.avg_pool2d(1 - hole, 31, 1, 15).clamp(min=1e-3)
    return images + (near - images) * hole * functional.avg_pool2d(hole, 15, 1, 7).gt(0.3)


@pytest.mark.parametrize("network", [paint, smooth, through])
@pytest.mark.parametrize("range_", [(0, 1), (-1, 1), (0, 255)])
@pytest.mark.parametrize("mask", ["hole", "keep"])
def test_a_mask_the_other_way_round_is_told(
    network: Network, range_: tuple[float, float], mask: str
) -> None:
    there = taking(*range_, in_range(*range_, network))
    right, wrong = (there, turned(there)) if mask == "hole" else (turned(there), there)
    images, hole = scene()
    filler = told(right, mask=mask, value_range=range_)
    filler.fill(images, hole, [0])
    assert len(filler.calls) == 1
    filler = told(wrong, mask=mask, value_range=range_)
    with pytest.raises(UserError) as caught:
        filler.fill(images, hole, [0])
    assert str(caught.value).startswith("filler.path=net leaves the hole blank; ")
    assert str(caught.value).endswith(f"use filler.mask={'keep' if mask == 'hole' else 'hole'}")
    assert len(filler.calls) == 2


def test_a_flat_photo_or_noise_settles_nothing() -> None:
    images, hole = scene()
    filler = told(turned(paint))
    filler.fill(torch.full_like(images, 0.2), hole, [0])
    filler.fill(torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)), hole, [0])
    filler.fill(images, torch.zeros_like(hole), [0])
    filler.fill(images, torch.ones_like(hole), [0])
    assert len(filler.calls) == 4
    with pytest.raises(UserError, match=r"use filler\.mask=keep$"):
        filler.fill(images, hole, [0])


def test_the_other_way_round_is_tried_few_times() -> None:
    images, hole = scene()
    filler = told(constant(0.5))
    for _ in range(9):
        filler.fill(images, hole, [0])
    assert len(filler.calls) == 9 + 3


class Bright(Painter):
    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        return 255 * (image * (1 - mask) + self.color * mask)


class LamaLike(nn.Module):
    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        return self.scale * (image * (1 - mask) + 0.9 * mask)


def lama(folder: Path, network: nn.Module, *overrides: str) -> Lama:
    file = f"filler.checkpoint={torchscript_file(folder, network)}"
    return built(compose_config("filler=lama", file, "trust=true", *overrides).filler, "filler")


def test_lama_may_give_255_levels(tmp_path: Path) -> None:
    images, hole = scene()
    filled = lama(tmp_path, LamaLike(255), "filler.output_range=[0,255]").fill(images, hole, [0])
    assert torch.allclose(filled, torch.where(hole, 0.9, images), atol=1e-5)
    with pytest.raises(UserError, match=r"set filler\.output_range, such as \[0,255\]$"):
        lama(tmp_path, LamaLike(255)).fill(images, hole, [0])
    same = identity(lama(tmp_path, LamaLike(1)))
    assert "output_range" not in same
    assert identity(lama(tmp_path, LamaLike(1), "filler.output_range=[0,1]")) == same


def test_torchscript_takes_the_key(tmp_path: Path) -> None:
    images, hole = scene()
    filler = build_torchscript(tmp_path, Bright([0.2, 0.4, 0.6]), "filler.output_range=[0,255]")
    filled = filler.fill(images, hole, [0])
    assert torch.allclose(filled, torch.where(hole, COLOR, images), atol=1e-5)


@pytest.mark.parametrize(
    ("network", "told_line"),
    [
        (
            Bright([0.2, 0.4, 0.6]),
            r"set filler\.output_range, .* such as \[0,255\] \(photo a\.jpg\)$",
        ),
        (Painter([0.2, 0.4, 0.6], keep=True), r"use filler\.mask=keep \(photo a\.jpg\)$"),
    ],
)
def test_a_run_ends_with_the_line(tmp_path: Path, network: nn.Module, told_line: str) -> None:
    file = f"filler.path={torchscript_file(tmp_path, network, 'net.pt')}"
    cfg = small_on_three_photos(tmp_path, "method=sp-g", "filler=torchscript", file, "trust=true")
    for name in ("a", "b", "c"):
        Image.fromarray(astronaut()).save(tmp_path / "photos" / f"{name}.jpg")
    with pytest.raises(UserError, match=told_line):
        experiment.run(cfg, tmp_path / "run")
