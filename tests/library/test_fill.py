"""Fills of every kind of image, at its own size; what is kept keeps its bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import genattr

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 41, 3), dtype=np.uint8)
MASK = np.zeros((30, 41), dtype=bool)
MASK[5:15, 6:22] = True
TENSOR = torch.from_numpy(PIXELS).permute(2, 0, 1)
KINDS = {
    "PIL": Image.fromarray(PIXELS),
    "uint8": PIXELS,
    "float64": PIXELS / 255,
    "float32": (PIXELS / 255).astype(np.float32),
    "tensor": TENSOR / 255,
    "fine tensor": TENSOR / 256,
    "uint8 tensor": TENSOR,
}


def rows(image: Any) -> np.ndarray:
    """Return an image as an (H, W, 3) array."""
    return np.moveaxis(image.numpy(), 0, 2) if isinstance(image, torch.Tensor) else np.array(image)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("filler", ["gray", "mirror"])
def test_a_fill_is_what_was_given(kind: str, filler: str) -> None:
    image = KINDS[kind]
    filled = genattr.fill(image, MASK, filler, threads=1)
    assert type(filled) is type(image)
    assert rows(filled).dtype == rows(image).dtype
    assert np.array_equal(rows(filled)[~MASK], rows(image)[~MASK])
    assert not np.array_equal(rows(filled)[MASK], rows(image)[MASK])


def test_gray_is_gray() -> None:
    filled = genattr.fill(TENSOR / 255, torch.from_numpy(MASK), "gray", color=[0.1, 0.2, 0.3])
    expected = torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1).expand(3, 10, 16)
    assert torch.equal(filled[:, 5:15, 6:22], expected)


def test_masks_of_every_kind_are_the_same(photo: Path) -> None:
    mask = np.zeros((60, 80), dtype=bool)
    mask[10:20, 10:30] = True
    expected = genattr.fill(photo, mask, "telea")
    assert expected.size == (80, 60)
    for kind in (mask * 255, mask.astype(int), torch.from_numpy(mask)[None], Image.fromarray(mask)):
        assert np.array_equal(np.array(genattr.fill(photo, kind, "telea")), np.array(expected))


def test_several_images_are_filled_one_by_one() -> None:
    batch = torch.stack([TENSOR / 255] * 2)
    filled = genattr.fill(batch, [MASK, ~MASK], "noise", seed=3)
    assert filled.shape == batch.shape
    assert torch.equal(filled[0], genattr.fill(batch[0], MASK, "noise", seed=3))
    assert not torch.equal(filled[0], genattr.fill(batch[0], MASK, "noise", seed=4))
    assert [type(one) for one in genattr.fill([PIXELS, TENSOR], MASK, "gray")] == [
        np.ndarray,
        torch.Tensor,
    ]
    assert genattr.fill(np.stack([PIXELS] * 2), MASK, "gray").shape == (2, 30, 41, 3)


@pytest.mark.parametrize("filler", ["blur", "mean_segment", "navier_stokes", "lightfill"])
def test_fillers_take_photos_that_are_no_squares(filler: str) -> None:
    filled = genattr.fill(PIXELS, MASK, filler)
    assert filled.shape == PIXELS.shape
