"""PatchMatch copies what is there, repeats itself by its seed, and steps aside where it must."""

from __future__ import annotations

import logging
import sys

import pytest
import torch

from genattr.errors import UserError
from genattr.filler.mirror import Mirror
from genattr.filler.patchmatch import PatchMatch
from genattr.store.heatmaps import identity
from tests.conftest import linear_probe, photo

SIZE = 64


def halves() -> torch.Tensor:
    """Return (1, 3, D, D), dark on the left and bright on the right of an edge."""
    image = torch.zeros(1, 3, SIZE, SIZE)
    image[..., SIZE // 2 :] = 1
    return image


def square(left: int = 24, side: int = 16) -> torch.Tensor:
    hole = torch.zeros(1, 1, SIZE, SIZE, dtype=torch.bool)
    hole[..., left : left + side, left : left + side] = True
    return hole


def test_without_the_package_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "patchmatch_cython", None)
    with pytest.raises(UserError, match=r"^filler=patchmatch needs pip install patchmatch-cython$"):
        PatchMatch(5, 4)


@pytest.fixture
def filler() -> PatchMatch:
    pytest.importorskip("patchmatch_cython", reason="needs the extra patchmatch")
    return PatchMatch(5, 4)


def test_an_edge_is_continued(filler: PatchMatch) -> None:
    inside = square()[0, 0]
    error = (filler.fill(halves(), square(), [1]) - halves())[0][:, inside].abs().mean()
    assert error < 0.1  # one color everywhere: 0.5
    assert filler.counts == {"filled_by_mirror": 0}


def test_the_seed_and_nothing_else_decides(filler: PatchMatch) -> None:
    images = photo(SIZE).image[None]
    first, again, other = (
        filler.fill(images, square(), [seed]) for seed in (2**62 + 5, 2**62 + 5, 6)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    pair = filler.fill(images.expand(2, -1, -1, -1), square().expand(2, -1, -1, -1), [6, 2**62 + 5])
    assert torch.equal(pair, torch.cat([other, first]))


def test_a_torn_photo_is_filled_by_mirror_counted_and_told_once(
    filler: PatchMatch, caplog: pytest.LogCaptureFixture
) -> None:
    generator = torch.Generator().manual_seed(0)
    torn = torch.rand(1, 1, SIZE, SIZE, generator=generator) < 0.5
    images = photo(SIZE).image.expand(3, -1, -1, -1)
    holes = torch.cat([torn, square(), torch.ones_like(torn)])
    with caplog.at_level(logging.WARNING, "genattr"):
        filled = filler.fill(images, holes, [1, 2, 3])
        filler.fill(images[:1], torn, [1])
    assert torch.equal(filled[[0, 2]], Mirror(4).fill(images[[0, 2]], holes[[0, 2]], []))
    assert not torch.equal(filled[1], Mirror(4).fill(images[1:2], square(), [])[0])
    assert filler.counts == {"filled_by_mirror": 3}
    assert [record.message for record in caplog.records] == [
        "patchmatch finds no patch to fill some holes from: mirror fills those"
    ]


def test_heatmaps_carry_the_count_of_their_own_photo(filler: PatchMatch) -> None:
    for _ in range(2):
        probe = linear_probe(size=16, filler=filler)
        probe.fill(torch.ones(2, 1, 16, 16, dtype=torch.bool))
        heatmap = probe.heatmap(torch.zeros(2, 2), (0, 1), n_segments=4)
        assert heatmap.details == {"n_segments": 4, "filled_by_mirror": 2}
    assert linear_probe().heatmap(torch.zeros(2, 2), (0, 1)).details == {}


def test_a_patch_larger_than_the_photo_is_refused(filler: PatchMatch) -> None:
    assert filler.for_sample(photo(5)).patch_size == 5
    with pytest.raises(UserError) as caught:
        filler.for_sample(photo(4))
    assert str(caught.value) == "filler.patch_size=5: must be at most the image's 4 pixels"


def test_each_photo_tells_once_that_the_mirror_helps(
    filler: PatchMatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = torch.ones(1, 1, SIZE, SIZE, dtype=torch.bool)
    with caplog.at_level(logging.WARNING, "genattr"):
        for seed in range(2):
            own = filler.for_sample(photo(SIZE, seed))
            for _ in range(2):
                own.fill(photo(SIZE, seed).image[None], whole, [1])
    assert len(caplog.records) == 2


def test_the_count_is_no_part_of_the_identity(filler: PatchMatch) -> None:
    before = identity(filler)
    filler.fill(halves(), torch.ones_like(square()), [1])
    assert identity(filler) == before
    assert "counts" not in before


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ((4, 4), r"filler\.patch_size=4: must be odd"),
        ((-1, 4), r"filler\.patch_size=-1"),
        ((5, 0), r"filler\.mirror_sigma=0: must be above 0"),
    ],
)
def test_bad_values_are_refused_by_name(values: tuple[int, float], told: str) -> None:
    with pytest.raises(UserError, match=told):
        PatchMatch(*values)
