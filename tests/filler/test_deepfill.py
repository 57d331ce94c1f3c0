"""filler=deepfill: the paper's wrapper around the network, step by step in NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor

from genattr.filler.deepfill import DeepFill
from tests.conftest import linear_probe
from tests.contract.options import built, compose_config
from tests.filler import seeded_deepfill as seeded
from tests.filler.seeded_deepfill import Array, golden, nchw, nhwc

ATOL = 2.5e-5  # of pixels in [0, 1]: half of what is allowed in [-1, 1]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return seeded.write(tmp_path_factory.mktemp("checkpoint"))


def build(checkpoint: Path, *overrides: str) -> DeepFill:
    given = ["filler.weights=null", f"filler.checkpoint={checkpoint}"]
    return built(compose_config("filler=deepfill", *given, *overrides).filler, "filler")


def case(name: str) -> tuple[Tensor, Tensor]:
    """Return a golden case as fillers see it: RGB in [0, 1], and the hole."""
    image, hole = seeded.given(name)
    return (image.flip(1) + 1) / 2, hole > 0


@pytest.mark.parametrize("name", ["s", "chelsea"])
def test_at_the_photos_own_size_it_is_the_authors_graph(checkpoint: Path, name: str) -> None:
    images, hole = case(name)
    filled = build(checkpoint, "filler.size=null").fill(images, hole, [0])
    expected = (golden()[f"{name}_complete"][..., ::-1] + 1) / 2
    assert np.allclose(nhwc(filled), expected, rtol=0, atol=ATOL)
    as_bytes = build(checkpoint, "filler.size=null", "filler.rounding=true").fill(images, hole, [0])
    levels = nhwc(as_bytes) * 255
    assert np.allclose(levels, levels.round(), atol=1e-3)
    difference = np.abs(levels.round() - golden()[f"{name}_u8_rgb"])
    assert difference.max() <= 1
    assert difference.mean() < 1e-3
    assert not difference[~hole[0, 0].numpy()].any()


def resized(image: Array, size: int) -> Array:
    """Resize (H, W, C) bilinearly, pixel centers aligned."""
    for axis in (0, 1):
        old = image.shape[axis]
        centers = (np.arange(size) + 0.5) * old / size - 0.5
        weights = np.stack([np.interp(centers, np.arange(old), row) for row in np.eye(old)], axis=1)
        image = np.moveaxis(np.tensordot(weights, image, (1, axis)), 0, axis)
    return image


def papers_background(image: Array, keep: Array, rounded: bool) -> Array:
    """Return what the paper's wrapper makes of a (224, 224, 3) photo; keep is 1 where it stays."""
    photo, kept = resized(image, 256) * 255, resized(keep[..., None].astype(float), 256)
    hole = kept < max(0.5, (kept.max() + kept.min()) / 2)
    if rounded:
        photo = photo.round()
    bgr = nchw(photo[..., ::-1].astype(np.float32) * np.float32(1 / 127.5) - 1)
    with torch.no_grad():
        complete = nhwc(seeded.network()(bgr, nchw(hole.astype(np.float32))))
    pixels = ((complete[..., ::-1] + 1) * 127.5).clip(0, 255)
    return resized((np.floor(pixels) if rounded else pixels) / 255.0, 224)


@pytest.fixture(scope="module")
def scene() -> tuple[Tensor, Tensor]:
    """A cat and an espresso, each with a hole of its own, 224 pixels wide."""
    photos = [data.chelsea()[:224, 100:324], data.coffee()[100:324, 200:424]]
    images = nchw(np.stack(photos).astype(np.float32) / 255)
    hole = torch.zeros(2, 1, 224, 224, dtype=torch.bool)
    hole[0, 0, 61:114, 83:136] = True
    y, x = torch.meshgrid(torch.arange(224), torch.arange(224), indexing="ij")
    hole[1, 0] = (y - 100) ** 2 + (x - 120) ** 2 < 60**2
    return images, hole


@pytest.mark.parametrize("protocol", ["paper", "released_code"])
def test_it_is_the_papers_wrapper(
    checkpoint: Path, scene: tuple[Tensor, Tensor], protocol: str
) -> None:
    images, hole = scene
    filled = build(checkpoint, f"protocol={protocol}").fill(images, hole, [0, 0])
    rounded = protocol == "released_code"
    for row in range(2):
        keep = ~hole[row, 0].numpy()
        expected = papers_background(nhwc(images[row : row + 1]), keep, rounded)
        atol = 1.001 / 255 if rounded else ATOL
        difference = np.abs(nhwc(filled[row : row + 1]) - expected)
        assert difference.max() <= atol
        assert difference.mean() <= atol / 20


def test_the_corrected_protocol_hides_what_resizing_smears(
    checkpoint: Path, scene: tuple[Tensor, Tensor]
) -> None:
    images, hole = (part[:1] for part in scene)
    other = torch.where(hole, torch.rand_like(images), images)
    removed = hole.expand_as(images)
    for protocol in ("paper", "corrected"):
        filler = build(checkpoint, f"protocol={protocol}")
        first, second = (filler.fill(x, hole, [0])[removed] for x in (images, other))
        assert torch.equal(first, second) == (protocol == "corrected")


def test_odd_sizes_are_padded_and_cropped(checkpoint: Path) -> None:
    images, hole = (part[..., :45, :53] for part in case("s"))
    filled = build(checkpoint, "filler.size=null").fill(images, hole, [0])
    pad = ((0, 0), (0, 0), (0, 3), (0, 3))
    bgr = torch.from_numpy(np.pad(images.numpy()[:, ::-1], pad, mode="reflect") * 2 - 1)
    removed = torch.from_numpy(np.pad(hole.numpy(), pad, mode="reflect")).float()
    with torch.no_grad():
        complete = seeded.network()(bgr, removed)[..., :45, :53]
    assert torch.allclose(filled, (complete.flip(1) + 1) / 2, rtol=0, atol=1e-6)


def test_a_photo_that_is_removed_whole_does_not_matter(checkpoint: Path) -> None:
    filler = build(checkpoint, "filler.size=64")
    hole = torch.ones(1, 1, 40, 40, dtype=torch.bool)
    first, second = (filler.fill(torch.rand(1, 3, 40, 40), hole, [0]) for _ in range(2))
    assert torch.equal(first, second)
    assert first.std() > 0


@pytest.mark.parametrize("batch_size", [1, 2])
def test_each_row_has_its_own_hole(checkpoint: Path, batch_size: int) -> None:
    images, hole = (part.repeat(2, 1, 1, 1) for part in case("s"))
    hole[1] = hole[1].flip(-1)
    filler = build(checkpoint, "filler.size=null", f"filler.batch_size={batch_size}")
    together = filler.fill(images, hole, [0, 0])
    for row in range(2):
        alone = filler.fill(images[row : row + 1], hole[row : row + 1], [0])
        assert torch.equal(alone[0], together[row])
        kept = ~hole[row, 0]
        assert torch.allclose(together[row][:, kept], images[row][:, kept], rtol=0, atol=1e-6)


def test_the_probe_keeps_what_is_outside_the_hole(checkpoint: Path) -> None:
    probe = linear_probe(40, filler=build(checkpoint, "filler.size=64"))
    hole = torch.zeros(2, 1, 40, 40, dtype=torch.bool)
    hole[0, :, 10:20, 10:30] = True
    hole[1, :, 25:, :9] = True
    composite = probe.composite(hole)
    for row in range(2):
        kept = ~hole[row, 0]
        assert torch.equal(composite[row][:, kept], probe.image[:, kept])
        assert not torch.equal(composite[row], probe.image)


def test_nothing_is_read_before_it_is_needed(cache: Path) -> None:
    filler = built(compose_config("filler=deepfill").filler, "filler")
    assert (filler.inpaints, filler.reads_hole, filler.stochastic) == (True, True, False)
    assert not cache.exists()
