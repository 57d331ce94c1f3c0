"""Every kind of image; what has the network's size reaches it as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import genattr

SIZE = 16
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
FLOATS = RNG.random((SIZE, SIZE, 3))
SQUARE = torch.from_numpy(PIXELS).permute(2, 0, 1) / 255
FINE = torch.from_numpy(FLOATS).permute(2, 0, 1).float()


class Spy:
    """A function of images that remembers them."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.extend(images)
        return images.mean(dim=(2, 3)) * 10


def seen(image: Any, **keys: Any) -> torch.Tensor:
    """Return what the network sees of an image."""
    settings = {"mean": [0], "std": [1], "input_size": SIZE, "threads": 1, "engine": "plain"}
    spy = Spy()
    genattr.explain(image, spy, method="full", **settings | keys)
    return spy.seen[-1]


IMAGES = {
    "PIL": (Image.fromarray(PIXELS), SQUARE),
    "RGBA": (Image.fromarray(PIXELS).convert("RGBA"), SQUARE),
    "uint8 array": (PIXELS, SQUARE),
    "float64 array": (FLOATS, FINE),
    "tensor": (FINE, FINE),
    "half": (SQUARE.half(), SQUARE.half().float()),
    "uint8 tensor": (torch.from_numpy(PIXELS).permute(2, 0, 1), SQUARE),
    "gray array": (PIXELS[:, :, 0], SQUARE[:1].expand(3, -1, -1)),
    "gray tensor": (FINE[:1], FINE[:1].expand(3, -1, -1)),
    "needs gradient": (FINE.clone().requires_grad_(), FINE),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_an_image_of_the_networks_size_reaches_it_bit_by_bit(kind: str) -> None:
    image, expected = IMAGES[kind]
    assert torch.equal(seen(image), expected)


def test_a_tensor_is_resized_as_the_photo(photo: Path) -> None:
    pixels = np.asarray(Image.open(photo))
    expected = seen(photo)
    assert torch.equal(seen(str(photo)), expected)
    assert torch.equal(seen(Image.open(photo)), expected)
    assert torch.equal(seen(torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255), expected)
    moved = seen((pixels / 255 * 0.999).astype(np.float32))
    assert torch.allclose(moved, expected * 0.999, atol=1.5 / 255)
    assert not torch.equal(seen(photo, resize=32, crop=16), expected)


def test_the_side_of_a_square_tensor_is_the_networks() -> None:
    assert seen(torch.rand(3, 24, 24), input_size=24).shape[-1] == 24
    spy = Spy()
    genattr.explain(torch.rand(3, 24, 24), spy, method="full", threads=1, engine="plain")
    assert spy.seen[-1].shape == (3, 24, 24)


def test_a_folder_or_a_generator_is_several_images(photo: Path) -> None:
    settings = {"method": "center", "input_size": SIZE, "threads": 1}
    spy = Spy()
    assert [one.image_id for one in genattr.explain(photo.parent, spy, **settings)] == ["noise.png"]
    assert len(genattr.explain((one for one in (PIXELS, SQUARE)), spy, **settings)) == 2
    assert len(genattr.explain(np.stack([PIXELS] * 2), spy, **settings)) == 2


BAD = {
    "normalized": (FINE * 4 - 2, "not in [0, 1]: give it before normalization, which genattr does"),
    "255": (FINE * 255, "not in [0, 1]: divide them by 255"),
    "channels last": (FINE.permute(1, 2, 0), "turn it by .permute(2, 0, 1)"),
    "channels first": (PIXELS.transpose(2, 0, 1), "turn it by .transpose(1, 2, 0)"),
    "NaN": (FINE * float("nan"), "there is NaN in it"),
    "integers": (FINE.long(), "must be uint8, or float in [0, 1]"),
    "absent": ("nowhere.png", 'image="nowhere.png": no such file'),
    "empty": ([], "there is none in it"),
    "number": (3, "image: int: must be a path, an image of Pillow"),
    "objects": (np.full((4, 4), None), "an array of object"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_image_is_refused(kind: str) -> None:
    image, problem = BAD[kind]
    with pytest.raises(genattr.UserError) as caught:
        seen(image)
    assert problem in str(caught.value)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(b"\x89PNG no")
    with pytest.raises(genattr.UserError, match=r"torn\.png\": not a photo"):
        seen(tmp_path / "torn.png")
