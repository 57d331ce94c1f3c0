"""What every filler of conf/filler keeps to."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hydra.utils import get_class
from hypothesis import given, settings
from hypothesis import strategies as st

from genattr.protocols import Filler
from tests.conftest import photo
from tests.contract.options import (
    ABSENT,
    UNTRAINED,
    built,
    compose_config,
    needed_by,
    options,
    runnable,
)
from tests.syncs import waits

SIZE = 33
ALL = runnable("filler")
# Levels of 255 by which a constant photo may change: OpenCV's Telea rounds up at every step of its
# front, LightFill paints a faint texture.
STEPS = {"telea": 8, "lightfill": 16}
PRESENT = [name for name in options("filler") if f"filler={name}" not in ABSENT]


FOLDER = TemporaryDirectory()  # of the small files that some fillers need; lives as long as they


@cache
def build(option: str) -> Filler:
    overrides = ["filler.n_segments=6"] if option == "mean_segment" else []
    (Path(FOLDER.name) / option).mkdir(exist_ok=True)
    needed = needed_by(f"filler={option}", Path(FOLDER.name) / option)
    cfg = compose_config(f"filler={option}", *overrides, *needed)
    return built(cfg.filler, "filler").for_sample(photo(SIZE))


def says(option: str, what: str) -> bool:
    """Read a class variable of the filler, or its key where the user says it."""
    cfg = compose_config(f"filler={option}").filler
    return getattr(get_class(cfg._target_), what, cfg.get(what))


INPAINTERS = [option for option in PRESENT if says(option, "inpaints")]
TRAINED = [option for option in INPAINTERS if f"filler={option}" not in UNTRAINED]


def scene(seed: int, rows: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Return photos, and holes: a rectangle, scattered blobs, half of the photo."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(rows, 3, SIZE, SIZE, generator=generator)
    holes = torch.zeros(rows, 1, SIZE, SIZE, dtype=torch.bool)
    x, y = torch.randint(0, SIZE - 9, (2,), generator=generator).tolist()
    holes[0, 0, y : y + 9, x : x + 9] = True
    coarse = torch.rand(1, 1, 6, 6, generator=generator) < 0.4
    holes[1] = torch.nn.functional.interpolate(coarse.float(), SIZE)[0].bool()
    holes[2, 0, :, : SIZE // 2] = True
    return images, holes


@pytest.mark.parametrize("option", ALL)
@settings(max_examples=5)
@given(seed=st.integers(0, 1000))
def test_gives_finite_pixels_in_range_whatever_the_batch(option: str, seed: int) -> None:
    images, holes = scene(seed)
    filled = build(option).fill(images, holes, [1, 2, 3])
    assert filled.shape == images.shape
    assert filled.dtype == torch.float32
    assert 0 <= filled.min() <= filled.max() <= 1
    for row in range(3):
        alone = build(option).fill(images[row : row + 1], holes[row : row + 1], [row + 1])
        assert torch.equal(alone[0], filled[row])


@pytest.mark.parametrize("option", ["gray", "blur", "noise", "telea", "lightfill"])
def test_the_device_is_waited_for_as_often_for_more_rows(option: str) -> None:
    images, holes = scene(0)

    def fill(times: int) -> torch.Tensor:
        parts = (part.repeat(times, 1, 1, 1) for part in (images, holes))
        return build(option).fill(*parts, range(3 * times))

    assert waits(lambda: fill(1)) == waits(lambda: fill(4))


@pytest.mark.parametrize("option", INPAINTERS)
@settings(max_examples=5)
@given(seed=st.integers(0, 1000))
def test_an_inpainter_never_sees_what_it_replaces(option: str, seed: int) -> None:
    images, holes = scene(seed)
    other = torch.where(holes, torch.rand_like(images), images)
    first, second = (build(option).fill(x, holes, [1, 2, 3]) for x in (images, other))
    assert torch.equal(first[holes.expand_as(first)], second[holes.expand_as(first)])


@pytest.mark.parametrize("option", [o for o in PRESENT if not says(o, "reads_hole")])
def test_a_filler_that_reads_no_hole_gives_the_same_for_any(option: str) -> None:
    images, holes = scene(0)
    filler = build(option)
    assert torch.equal(
        filler.fill(images, holes, [1, 2, 3]), filler.fill(images, ~holes, [1, 2, 3])
    )


@pytest.mark.parametrize("option", TRAINED)
def test_a_constant_photo_is_continued(option: str) -> None:
    images, holes = torch.full((3, 3, SIZE, SIZE), 0.6), scene(1)[1]
    filled = build(option).fill(images, holes, [1, 2, 3])
    steps = STEPS.get(option, 1)
    assert torch.allclose(filled, images, atol=(steps + 0.01) / 255)


@pytest.mark.parametrize("option", TRAINED)
def test_a_photo_removed_whole_becomes_gray(option: str) -> None:
    images = scene(0)[0]
    filled = build(option).fill(images, torch.ones(3, 1, SIZE, SIZE, dtype=torch.bool), [1, 2, 3])
    gray = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    assert torch.allclose(filled, gray.expand_as(filled), atol=0.51 / 255)
