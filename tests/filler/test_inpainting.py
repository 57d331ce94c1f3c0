"""The base of all inpainters, by algebra on networks that do next to nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import maximum_filter
from torch import Tensor, nn

from genattr import components
from genattr.errors import UserError
from genattr.filler.inpainting import (
    Convention,
    Inpainter,
    NetworkInpainter,
    as_many,
    rounded_up,
    windows_around,
)
from tests.syncs import waits

SIZE = 21
DEFAULTS = {"size": None, "dilate": 0, "context": "full", "batch_size": 1}


@dataclass(frozen=True, kw_only=True)
class Echo(Inpainter):
    """Returns what it was shown, and keeps a record of it."""

    told: Convention = field(default_factory=Convention)
    draws: bool = False
    calls: list[tuple[Tensor, Tensor, list[int]]] = field(default_factory=list)

    @property
    def convention(self) -> Convention:
        return self.told

    @property
    def stochastic(self) -> bool:
        return self.draws

    def synthesize(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        self.calls.append((images, hole, list(seeds)))
        return images


@dataclass(frozen=True, kw_only=True)
class Mates(Echo):
    """Gives every row a sum over all that it was shown, and so could betray batch mates."""

    def synthesize(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        self.calls.append((images, hole, list(seeds)))
        signs = torch.linspace(-1, 1, images[0].numel()).view(images[0].shape)
        values = (images * signs).sum(dim=(1, 2, 3)) + hole.sum(dim=(1, 2, 3)) / 7
        return (values.sin() / 2 + 0.5).view(-1, 1, 1, 1).expand_as(images)


def echo(kind: type[Inpainter] = Echo, **keys: object) -> Inpainter:
    return kind(**(DEFAULTS | keys))


def scene(seed: int, rows: int = 3, size: int = SIZE) -> tuple[Tensor, Tensor]:
    """Return noise photos and one rectangle in each, of any size and place."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(rows, 3, size, size, generator=generator)
    hole = torch.zeros(rows, 1, size, size, dtype=torch.bool)
    for row in range(rows):
        x0, x1 = torch.randint(0, size + 1, (2,), generator=generator).sort().values.tolist()
        y0, y1 = torch.randint(0, size + 1, (2,), generator=generator).sort().values.tolist()
        hole[row, 0, y0:y1, x0:x1] = True
    return images, hole


def window_around(hole: Tensor, margin: int, multiple: int) -> tuple[slice, slice]:
    """Read the definition of one window step by step."""
    if not hole.any():
        height, width = hole.shape
        return slice(0, height), slice(0, width)
    return span(hole.any(dim=1), margin, multiple), span(hole.any(dim=0), margin, multiple)


def span(removed: Tensor, margin: int, multiple: int) -> slice:
    at, size = removed.nonzero(), len(removed)
    first, last = int(at[0]), int(at[-1])
    length = min(rounded_up(last + 1 - first + 2 * margin, multiple), size)
    start = min(max(first - margin, 0), size - length)
    return slice(start, start + length)


CONVENTIONS = st.builds(
    lambda span, bgr, keep, multiple: Convention(*span, bgr, keep, multiple),
    st.sampled_from([(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([1, 4, 8, 64]),
)
CONTEXTS = st.sampled_from([None, "full", 0, 3, 8, 100])


@given(
    seed=st.integers(0, 10_000),
    told=CONVENTIONS,
    context=CONTEXTS,
    batch_size=st.integers(1, 4),
    size=st.integers(5, 40),
)
def test_a_network_that_echoes_gives_the_photo_back_and_blank_holes(
    seed: int, told: Convention, context: object, batch_size: int, size: int
) -> None:
    images, hole = scene(seed, size=size)
    filler = echo(told=told, context=context, batch_size=batch_size)
    filled = filler.fill(images, hole, [0, 0, 0])
    assert torch.allclose(filled, images.masked_fill(hole, 0.5), atol=1e-6)
    for shown, mask, seeds in filler.calls:
        assert len(shown) == len(mask) == len(seeds) == batch_size
        assert shown.shape[-1] % told.multiple == shown.shape[-2] % told.multiple == 0
        assert set(mask.unique().tolist()) <= {0.0, 1.0}


@given(
    seed=st.integers(0, 10_000),
    context=CONTEXTS,
    batch_size=st.integers(1, 4),
    size=st.sampled_from([None, 16, 30]),
    order=st.permutations(range(4)),
)
def test_a_row_depends_on_itself_alone(
    seed: int, context: object, batch_size: int, size: int | None, order: list[int]
) -> None:
    images, hole = scene(seed, rows=4)
    keys = {"context": context, "batch_size": batch_size, "size": size, "draws": True}
    filler = echo(Mates, told=Convention(multiple=8), **keys)
    together = filler.fill(images, hole, [1, 2, 3, 4])
    shuffled = filler.fill(images[order], hole[order], [order[i] + 1 for i in range(4)])
    assert torch.equal(shuffled, together[order])
    for row in range(4):
        alone = filler.fill(images[row : row + 1], hole[row : row + 1], [row + 1])
        assert torch.equal(alone[0], together[row])


@given(seed=st.integers(0, 10_000), batch_size=st.integers(1, 4), context=CONTEXTS)
def test_seeds_stay_with_their_rows(seed: int, batch_size: int, context: object) -> None:
    images, hole = scene(seed, rows=4)
    images[:, 0] = torch.tensor([0.1, 0.2, 0.3, 0.4]).view(-1, 1, 1)
    told = Convention(blank=0.9)
    filler = echo(told=told, draws=True, batch_size=batch_size, context=context)
    filler.fill(images, hole, [10, 20, 30, 40])
    for shown, mask, seeds in filler.calls:
        for image, removed, one in zip(shown, mask, seeds, strict=True):
            known = image[0][removed[0] == 0]
            assert torch.allclose(known, torch.full_like(known, one / 100))


def test_seeds_are_zero_where_nothing_is_drawn() -> None:
    filler = echo()
    filler.fill(*scene(0), [5, 6, 7])
    assert [seeds for *_, seeds in filler.calls] == [[0], [0], [0]]


@given(seed=st.integers(0, 10_000), margin=st.integers(0, 25), multiple=st.sampled_from([1, 4, 8]))
def test_a_window_holds_the_hole_and_its_surroundings(
    seed: int, margin: int, multiple: int
) -> None:
    hole = scene(seed, rows=1)[1][0, 0]
    rows, columns = window_around(hole, margin, multiple)
    if not hole.any():
        assert (rows, columns) == (slice(0, SIZE), slice(0, SIZE))
        return
    for span, at in ((rows, np.argwhere(hole.numpy())[:, 0]), (columns, hole.nonzero()[:, 1])):
        first, last, length = int(min(at)), int(max(at)) + 1, span.stop - span.start
        assert 0 <= span.start <= max(first - margin, 0)
        assert min(last + margin, SIZE) <= span.stop <= SIZE
        assert length == SIZE or length % multiple == 0
        assert length < last - first + 2 * margin + multiple


@given(
    seed=st.integers(0, 10_000),
    margin=st.integers(0, 25),
    multiple=st.sampled_from([1, 4, 8, 16]),
    size=st.integers(1, 40),
)
def test_windows_of_many_holes_are_those_of_each(
    seed: int, margin: int, multiple: int, size: int
) -> None:
    hole = scene(seed, rows=6, size=size)[1]
    hole[4:] &= torch.rand(2, 1, size, size, generator=torch.Generator().manual_seed(seed)) < 0.2
    top, left, sizes = windows_around(hole, margin, multiple)
    found = zip(top.tolist(), left.tolist(), sizes, strict=True)
    for mask, (y, x, (height, width)) in zip(hole, found, strict=True):
        expected = window_around(mask[0], margin, multiple)
        assert (slice(y, y + height), slice(x, x + width)) == expected


def test_holes_of_one_size_have_windows_of_one_size_wherever_they_are() -> None:
    corners = [(y, x) for y in range(0, 30, 3) for x in range(0, 30, 3)]
    sizes = set()
    for y, x in corners:
        hole = torch.zeros(40, 40, dtype=torch.bool)
        hole[y : y + 10, x : x + 10] = True
        sizes |= set(windows_around(hole[None, None], 5, 4)[2])
    assert sizes == {(20, 20)}


def test_a_windows_pixels_are_those_of_the_whole_frame() -> None:
    images, hole = torch.rand(1, 3, 32, 32), torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    hole[..., 4:9, 20:24] = True
    whole, part = echo(size=80), echo(size=80, context=6)
    assert torch.equal(whole.fill(images, hole, [0]), part.fill(images, hole, [0]))
    frame, crop = whole.calls[0][0], part.calls[0][0]
    rows, columns = window_around(whole.calls[0][1][0, 0] > 0, 6, 1)
    assert crop.shape[-2:] < frame.shape[-2:]
    assert torch.equal(crop, frame[..., rows, columns])


@given(seed=st.integers(0, 10_000), pixels=st.integers(0, 5))
def test_dilation_grows_the_hole_on_each_side(seed: int, pixels: int) -> None:
    images, hole = scene(seed)
    filler = echo(dilate=pixels, batch_size=3)
    filler.fill(images, hole, [0, 0, 0])
    wide = filler.calls[0][1][:, 0].numpy()
    side = 2 * pixels + 1
    expected = [maximum_filter(one, side, mode="constant") for one in hole[:, 0].numpy()]
    assert np.array_equal(wide, np.stack(expected))


def test_a_resized_hole_is_cut_at_a_half_row_by_row() -> None:
    """The 1:2 upsampling of an edge gives 0, 1/4, 3/4, 1 by bilinear interpolation."""
    hole = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    hole[0, ..., 3:5] = True
    images = torch.linspace(0, 1, 8).expand(2, 3, 8, 8)
    filler = echo(size=16, batch_size=2, told=Convention(blank=0.0))
    filler.fill(images, hole, [0, 0])
    shown, mask, _ = filler.calls[0]
    expected = torch.zeros(16)
    expected[6:10] = 1
    assert torch.equal(mask[0, 0], expected.expand(16, 16))
    assert not mask[1].any()
    centers = (np.arange(16) + 0.5) / 2 - 0.5
    assert np.allclose(shown[1, 2, 5], np.interp(centers, np.arange(8), np.linspace(0, 1, 8)))


def test_the_round_trip_of_a_smooth_photo_is_the_photo() -> None:
    ramp = torch.linspace(0.2, 0.8, 224).expand(1, 3, 224, 224)
    filled = echo(size=256).fill(ramp, torch.zeros(1, 1, 224, 224, dtype=torch.bool), [0])
    assert torch.allclose(filled[..., 1:-1], ramp[..., 1:-1], atol=1e-6)


def test_with_dilation_resizing_does_not_show_what_is_removed() -> None:
    images, hole = scene(3, size=224)
    other = torch.where(hole, torch.rand_like(images), images)
    leaks, tight = echo(size=256, batch_size=3), echo(size=256, dilate=2, batch_size=3)
    for filler in (leaks, tight):
        filler.fill(images, hole, [0] * 3)
        filler.fill(other, hole, [0] * 3)
    assert not torch.equal(leaks.calls[0][0], leaks.calls[1][0])
    assert torch.equal(tight.calls[0][0], tight.calls[1][0])


def test_padding_continues_photo_and_hole_alike() -> None:
    images, hole = scene(0, rows=1, size=6)
    hole[..., 4:] = True
    filler = echo(told=Convention(multiple=8))
    filler.fill(images, hole, [0])
    shown, mask, _ = filler.calls[0]
    pad = ((0, 0), (0, 0), (0, 2), (0, 2))
    hidden = images.masked_fill(hole, 0.5)
    assert np.array_equal(shown, np.pad(hidden.numpy(), pad, mode="reflect"))
    assert np.array_equal(mask, np.pad(hole.numpy(), pad, mode="reflect"))


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (Convention(-1, 1), ([-1, 0, 1], 1)),
        (Convention(0, 255, bgr=True), ([255, 127.5, 0], 1)),
        (Convention(keep=True), ([0, 0.5, 1], 0)),
    ],
)
def test_conventions(told: Convention, expected: tuple[list[float], float]) -> None:
    images = torch.tensor([0, 0.5, 1]).view(1, 3, 1, 1).repeat(1, 1, 4, 4)
    hole = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    hole[..., 0, 0] = True
    filler = echo(told=told)
    filler.fill(images, hole, [0])
    shown, mask, _ = filler.calls[0]
    assert shown[0, :, 3, 3].tolist() == expected[0]
    assert shown[0, :, 0, 0].tolist() == [(told.low + told.high) / 2] * 3
    assert mask[0, 0, 0, 0] == expected[1]
    assert mask.sum() == (1 if expected[1] else 15)


@dataclass(frozen=True, kw_only=True)
class Layer(NetworkInpainter):
    """A convolution, with weights drawn when it is built."""

    def build(self) -> nn.Module:
        return nn.Conv2d(4, 3, 3, padding=1)

    def synthesize(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        return self.network_on(images.device)(torch.cat([images, hole], 1))


def test_a_network_is_built_once_frozen_and_part_of_the_identity() -> None:
    before = torch.random.get_rng_state()
    first, second = Layer(**DEFAULTS), Layer(**DEFAULTS)
    assert torch.equal(before, torch.random.get_rng_state())
    assert first.fingerprint == second.fingerprint == components.identity(first)["weights"]
    assert first.network is first.network
    assert not any(weights.requires_grad for weights in first.network.parameters())
    images, hole = scene(0)
    expected = first.network(torch.cat([images.masked_fill(hole, 0.5), hole.float()], 1))
    assert torch.allclose(first.fill(images, hole, [0] * 3), expected.clamp(0, 1), atol=1e-6)


def test_auto_is_one_row_on_a_cpu_and_a_power_of_two_by_the_window_elsewhere() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    filler = echo(batch_size="auto")
    assert filler.together(256, 256, cpu) == 1
    assert [filler.together(side, side, gpu) for side in (32, 96, 224, 256, 512, 2048)] == [
        *(512, 32, 8, 8, 2, 1)
    ]
    assert echo(batch_size=3).together(256, 256, gpu) == 3


@given(height=st.integers(1, 700), width=st.integers(1, 700), room=st.integers(0, 2_000_000))
def test_as_many_as_fit(height: int, width: int, room: int) -> None:
    count = as_many(height, width, room)
    assert count & (count - 1) == 0
    assert count == 1 or count * height * width <= room
    assert 2 * count * height * width > room


@pytest.mark.parametrize("context", ["full", 3])
def test_the_base_waits_no_longer_for_more_rows(context: object) -> None:
    filler = echo(Layer, context=context, batch_size=16, size=16)
    images, hole = scene(0, rows=1)
    few, many = (
        waits(lambda n=n: filler.fill(images.repeat(n, 1, 1, 1), hole.repeat(n, 1, 1, 1), [0] * n))
        for n in (3, 12)
    )
    assert few == many <= 2


def test_the_batch_size_is_no_part_of_the_identity() -> None:
    assert "batch_size" not in components.identity(Layer(**DEFAULTS))
    assert components.identity(Layer(**DEFAULTS)) != components.identity(
        Layer(**DEFAULTS | {"dilate": 1})
    )


@dataclass(frozen=True, kw_only=True)
class Broken(Echo):
    """Returns something else than it should."""

    value: float | None = None

    def synthesize(self, images: Tensor, hole: Tensor, seeds: Sequence[int]) -> Tensor:
        return images[..., ::2] if self.value is None else images * self.value


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, r"^Broken: the network gives \(1, 3, 21, 11\), not \(1, 3, 21, 21\)$"),
        (float("nan"), "^Broken: the network gives values that are no numbers$"),
    ],
)
def test_what_are_no_images_are_refused(value: float | None, told: str) -> None:
    with pytest.raises(UserError, match=told):
        echo(Broken, value=value).fill(*scene(0), [0] * 3)


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("size", 0, "at least 1, or null"),
        ("dilate", -1, "at least 0"),
        ("context", -2, "full or at least 0, or null"),
        ("batch_size", 0, "a whole number from 1 on, or auto"),
        ("batch_size", "all", "a whole number from 1 on, or auto"),
        ("batch_size", None, "a whole number from 1 on, or auto"),
    ],
)
def test_bad_values_are_refused_by_name(key: str, value: object, allowed: str) -> None:
    with pytest.raises(UserError, match=rf"filler\.{key}={value}: must be {allowed}$"):
        echo(**{key: value})


def test_values_are_clamped() -> None:
    filled = echo(Broken, value=3.0).fill(*scene(0), [0] * 3)
    assert filled.max() == 1


def test_padding_can_count_as_removed() -> None:
    images, hole = scene(0, rows=1, size=6)
    filler = echo(told=Convention(multiple=8, blank=0.3, removed_beyond=True))
    filler.fill(images, hole, [0])
    shown, mask, _ = filler.calls[0]
    pad = ((0, 0), (0, 0), (0, 2), (0, 2))
    hidden = images.masked_fill(hole, 0.3).numpy()
    assert np.allclose(shown, np.pad(hidden, pad, constant_values=0.3))
    assert np.array_equal(mask, np.pad(hole.numpy(), pad, constant_values=1))


@dataclass(frozen=True, kw_only=True)
class Pairs(Echo):
    """Sees two windows at once, however large its batches may be."""

    def together(self, height: int, width: int, device: torch.device) -> int:
        return 2


def test_an_inpainter_may_see_fewer_rows_than_its_batch() -> None:
    filler = echo(Pairs, batch_size=8)
    filler.fill(*scene(0), [0] * 3)
    assert [len(shown) for shown, *_ in filler.calls] == [2, 2]
