from __future__ import annotations

import pytest
import torch

from genattr.training import holes
from genattr.training.draws import Draws

CPU = torch.device("cpu")


def drawn(kind: str, side: int = 96, count: int = 60) -> torch.Tensor:
    mixture = {one: float(one == kind) for one in holes.KINDS}
    return holes.draw(count, side, mixture, Draws(CPU, 0))


@pytest.mark.parametrize("kind", holes.KINDS)
@pytest.mark.parametrize("side", [64, 160])
def test_holes_are_binary_and_neither_empty_nor_everything(kind: str, side: int) -> None:
    hole = drawn(kind, side, 12)
    assert hole.shape == (12, 1, side, side)
    assert set(hole.unique().tolist()) == {0.0, 1.0}
    removed = hole.mean((1, 2, 3))
    assert (removed > 0).all()
    assert (removed <= holes.MOST).all()


@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [
        ("square", 5 / 96 * 1 / 96, (60 / 96) ** 2),
        ("superpixels", 0.02, 0.8),
        ("cells", 0.001, 0.8),
        ("object", 0.05, 0.6),
        ("boxes", 0.001, holes.MOST),
        ("strokes", 0.002, 0.6),
    ],
)
def test_areas_are_those_of_the_kind(kind: str, least: float, most: float) -> None:
    removed = drawn(kind).mean((1, 2, 3))
    assert least <= removed.min()
    assert removed.max() <= most
    assert removed.std() > 0.02


def test_squares_are_squares_but_where_an_edge_cuts_them() -> None:
    for hole in drawn("square")[:, 0].bool():
        rows, columns = hole.any(1).nonzero()[:, 0], hole.any(0).nonzero()[:, 0]
        assert hole.sum() == len(rows) * len(columns)
        inside = min(rows[0], columns[0]) > 0 and max(rows[-1], columns[-1]) < 95
        assert not inside or len(rows) == len(columns)
        assert max(len(rows), len(columns)) <= 60


def test_cells_are_whole_on_a_grid_of_8_pixels() -> None:
    for hole in drawn("cells", count=10)[:, 0]:
        shifts = [
            (down, right)
            for down in range(8)
            for right in range(8)
            if _is_blocky(hole[down : down + 80, right : right + 80])
        ]
        assert shifts


def _is_blocky(part: torch.Tensor) -> bool:
    blocks = part.unfold(0, 8, 8).unfold(1, 8, 8).mean((2, 3))
    return bool(((blocks == 0) | (blocks == 1)).all())


def test_about_the_highest_share_is_marked() -> None:
    score = torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(0))
    marked = holes._highest(score, torch.tensor([0.1, 0.25, 0.5]))
    assert marked.float().mean((1, 2)).tolist() == pytest.approx([0.1, 0.25, 0.5], abs=0.003)
    assert score[0][marked[0]].min() > score[0][~marked[0]].max()


def test_the_nearest_point_is_that_of_plain_distances() -> None:
    generator = torch.Generator().manual_seed(0)
    places, points = (torch.rand(2, n, 2, generator=generator) for n in (50, 7))
    assert holes._nearest(places, points).equal(torch.cdist(places, points).argmin(-1))


def test_distance_to_a_segment() -> None:
    places = torch.tensor([[[0.0, 0.0], [0.5, 0.3], [1.4, 0.3]]])
    start, end = torch.tensor([[[0.0, 0.0]]]), torch.tensor([[[1.0, 0.0]]])
    squared = holes._squared_distance(places, start, end)[0]
    assert squared.tolist() == pytest.approx([0, 0.09, 0.25], abs=1e-5)


def test_a_mixture_draws_each_kind_as_often_as_asked() -> None:
    counts = dict.fromkeys(holes.KINDS, 0)

    def counted(kind: str) -> holes.Draw:
        def draw(count: int, side: int, _: torch.Generator) -> torch.Tensor:
            counts[kind] += count
            return torch.eye(side).bool().expand(count, side, side)

        return draw

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(holes, "KINDS", {kind: counted(kind) for kind in holes.KINDS})
        mixture = {kind: 2.0 * (place < 2) for place, kind in enumerate(counts)}
        holes.draw(1000, 64, mixture, Draws(CPU, 1))
    assert sum(counts.values()) == 1000
    assert list(counts.values())[2:] == [0, 0, 0, 0]
    assert counts["square"] == pytest.approx(500, abs=60)


def test_the_same_step_draws_the_same_and_another_step_something_else() -> None:
    mixture = dict.fromkeys(holes.KINDS, 1.0)
    first, again, other = (holes.draw(8, 64, mixture, Draws(CPU, 7, step, 0)) for step in (3, 3, 4))
    assert first.equal(again)
    assert not first.equal(other)
