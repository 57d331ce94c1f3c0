"""A function as a filler: called as promised, and refused where it does not keep the contract."""

from __future__ import annotations

import re

import pytest
import torch

from genattr import components
from genattr.errors import UserError
from genattr.filler.callable import CallableFiller
from genattr.protocols import Filler
from tests.conftest import linear_probe
from tests.contract.options import built, compose_config


def build(name: str, *overrides: str) -> Filler:
    path = f"filler.path=tests.toys:{name}"
    return built(compose_config("filler=callable", path, *overrides).filler, "filler")


def hole(rows: int = 2, size: int = 12) -> torch.Tensor:
    holes = torch.zeros(rows, 1, size, size, dtype=torch.bool)
    for row in range(rows):
        holes[row, :, row : row + 4, 2:7] = True
    return holes


def test_the_function_decides_what_stands_in_the_hole() -> None:
    probe = linear_probe(filler=build("fill_with_rim"))
    composite = probe.composite(hole())
    for row, mask in enumerate(hole()[:, 0]):
        kept = probe.image[:, ~mask]
        assert torch.equal(composite[row][:, ~mask], kept)
        rim = kept.mean(dim=1, keepdim=True).expand(3, int(mask.sum()))
        assert torch.allclose(composite[row][:, mask], rim)


def test_seeds_come_where_it_says_that_it_draws() -> None:
    same = linear_probe(filler=build("seeded")).fill(hole())
    assert same.unique().tolist() == [0]
    drawn = linear_probe(filler=build("seeded", "filler.stochastic=true")).fill(hole())
    assert len(drawn.unique()) == 2


def test_one_call_a_photo_where_the_hole_does_not_matter() -> None:
    probe = linear_probe(filler=build("fill_with_rim", "filler.reads_hole=false"))
    probe.fill(hole(5))
    probe.fill(hole(3))
    assert probe.counts.filled == 1


def test_its_words_decide_whether_it_inpaints() -> None:
    assert build("fill_with_rim").inpaints
    assert not build("fill_with_rim", "filler.inpaints=false").inpaints


def test_the_files_hash_is_part_of_its_identity() -> None:
    assert re.fullmatch(r"[0-9a-f]{16}", components.identity(build("seeded"))["weights"])


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("half", "filler.path=tests.toys:half gives (2, 3, 12, 6), not (2, 3, 12, 12) in [0, 1]"),
        ("bright", "filler.path=tests.toys:bright gives pixels that are not in [0, 1], but 1 to 2"),
    ],
)
def test_what_are_no_images_are_refused(name: str, told: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(told)}$"):
        linear_probe(filler=build(name)).fill(hole())


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        ([], r"filler=callable needs filler\.path=package\.module:function"),
        (["filler.path=tests.toys:nothing"], r"filler\.path=tests\.toys:nothing: no nothing in "),
        (["filler.path=no_such:f"], r"filler\.path=no_such:f: no module no_such"),
    ],
)
def test_a_path_that_leads_nowhere_is_told_when_it_is_built(
    overrides: list[str], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        built(compose_config("filler=callable", *overrides).filler, "filler")


def test_a_function_that_takes_the_hole_the_other_way_round_is_told() -> None:
    images = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    with pytest.raises(UserError, match=r"the hole is True where the photo is removed$"):
        build("turned_round").fill(images, hole(), [0, 0])
    everything = torch.ones_like(hole())
    assert torch.equal(build("turned_round").fill(images, everything, [0, 0]), images)


def test_a_color_that_the_hole_has_already_is_no_mistake() -> None:
    images = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    images = images.masked_fill(hole(), 0)
    assert build("black").fill(images, hole(), [0, 0]).unique().tolist() == [0]


def in_place(images: torch.Tensor, hole: torch.Tensor, seeds: object) -> torch.Tensor:
    images[hole.expand_as(images)] = 0.3
    return images


def test_a_function_that_writes_into_its_images_leaves_the_photo_alone() -> None:
    filler = CallableFiller("tests.filler.test_callable:in_place", True, True, False)
    photo = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))
    before = photo.clone()
    hole = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    hole[:, :, 2:4, 2:4] = True
    filled = filler.fill(photo.expand(2, -1, -1, -1), hole, [0, 0])
    assert torch.equal(photo, before)
    assert (filled[:, :, 2:4, 2:4] == 0.3).all()
