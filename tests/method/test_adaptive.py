"""The adaptive search: exact where the map is made of pieces, within its budget everywhere."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from genattr.errors import UserError
from genattr.method import adaptive
from genattr.method.sp import SlidingPatch
from genattr.run.study import plain_numbers
from genattr.store.heatmaps import identity
from tests.conftest import ConstantFiller, linear_probe

FULL = SlidingPatch(3, 1, "stretch", "full", 0.0, 1.0, requires_inpainter=False)
ADAPTIVE = replace(FULL, search="adaptive")


class Looked:
    """Gives the cells of a map, and counts them."""

    def __init__(self, values: Tensor) -> None:
        self.values, self.count = values, 0

    def __call__(self, cells: Tensor) -> Tensor:
        assert len(cells.unique()) == len(cells)
        self.count += len(cells)
        return self.values.flatten()[cells]


def pieces(cells: int, x: int, y: int, width: int, height: int) -> Tensor:
    values = torch.full((cells, cells), 0.25)
    values[y : y + height, x : x + width] = 0.75
    return values


@given(
    st.integers(20, 40),
    st.tuples(st.integers(0, 17), st.integers(0, 17)),
    st.tuples(st.integers(3, 8), st.integers(3, 8)),
)
def test_pieces_are_found_exactly_and_sooner(
    cells: int, corner: tuple[int, int], extent: tuple[int, int]
) -> None:
    look = Looked(pieces(cells, *corner, *extent))
    assert torch.equal(adaptive.search(look, cells, 0.0, 1.0), look.values)
    assert look.count < 0.8 * cells**2


def test_a_flat_map_costs_one_cell_in_nine() -> None:
    look = Looked(torch.full((30, 30), 0.5))
    assert torch.equal(adaptive.search(look, 30, 0.0, 1.0), look.values)
    assert look.count == 11 * 11


@given(st.integers(1, 30), st.floats(0.01, 1), st.floats(0, 0.5))
def test_the_budget_is_kept_and_what_is_known_is_exact(
    cells: int, budget: float, tolerance: float
) -> None:
    values = torch.rand(cells, cells, generator=torch.Generator().manual_seed(cells))
    look = Looked(values)
    found = adaptive.search(look, cells, tolerance, budget)
    assert look.count <= adaptive.most(cells, budget)
    assert int((found == values).sum()) >= look.count
    assert values.min() <= found.min() <= found.max() <= values.max()


def test_one_third_of_noise_is_the_lattice_of_one_third() -> None:
    values = torch.rand(31, 31, generator=torch.Generator().manual_seed(0))
    found = adaptive.search(Looked(values), 31, 0.0, 0.34)
    _, third, _ = adaptive.lattices(31)
    assert torch.equal(found[third], values[third])


@pytest.mark.parametrize(("cells", "steps"), [(3, [9]), (4, [4, 6, 16])])
def test_the_smallest_grids(cells: int, steps: list[int]) -> None:
    assert [int(lattice.sum()) for lattice in adaptive.lattices(cells)] == steps


def test_a_slope_is_interpolated() -> None:
    row, column = torch.meshgrid(torch.arange(31.0), torch.arange(31.0), indexing="ij")
    slope = (row + 2 * column) / 100
    found = adaptive.search(Looked(slope), 31, 0.0, 1 / 3)
    assert (found - slope)[1:-1, 1:-1].abs().max() < 0.01  # a third of a step across


def test_few_cells_are_interpolated_by_distances() -> None:
    """A sum of minus the distances to the known cells, and of a constant, by its equations."""
    draws = torch.Generator().manual_seed(0)
    values = torch.rand(5, 5, generator=draws)
    known = torch.rand(5, 5, generator=draws).flatten().argsort()[:9].sort().values
    place = torch.stack([torch.arange(25) // 5, torch.arange(25) % 5], dim=1).double()
    place[place == 4] = 3.25  # the last step is a quarter of the others
    distances = -torch.cdist(place, place[known])
    system = torch.ones(10, 10, dtype=torch.double)
    system[:9, :9], system[9, 9] = distances[known], 0
    sums = torch.cat([values.flatten()[known].double(), torch.zeros(1)])
    weights = torch.linalg.solve(system, sums)
    slow = distances @ weights[:9] + weights[9]
    seen = torch.full((25,), torch.nan).index_put_((known,), values.flatten()[known])
    low, high = (bound.flatten().double() for bound in adaptive.around(seen.view(5, 5)))
    found = adaptive.interpolated(seen.view(5, 5), 0.25).flatten().double()
    assert torch.allclose(found, slow.clamp(low, high), atol=1e-6)


def test_a_cell_is_interpolated_from_the_twelve_nearest() -> None:
    values = torch.rand(9, 9, generator=torch.Generator().manual_seed(0))
    values[4, 4] = torch.nan
    place = torch.arange(9)
    steps = (place[:, None] - 4).abs() + (place - 4).abs()

    def center(changed: Tensor) -> float:
        return float(adaptive.interpolated(torch.where(changed, 1 - values, values))[4, 4])

    nothing = torch.zeros(9, 9, dtype=torch.bool)
    assert center(steps > 2) == pytest.approx(center(nothing), abs=1e-6)
    for cell in ((steps > 0) & (steps <= 2)).nonzero():
        changed = nothing.index_put(tuple(cell), torch.tensor(True))
        assert center(changed) != pytest.approx(center(nothing), abs=1e-4)


def test_a_map_upside_down_is_interpolated_upside_down() -> None:
    values = torch.rand(5, 5, generator=torch.Generator().manual_seed(0))
    values[~adaptive.lattices(5)[0]] = torch.nan  # nine are known: no nearest ones are chosen
    found = adaptive.interpolated(values)
    assert torch.allclose(adaptive.interpolated(values.flip(0, 1)).flip(0, 1), found, atol=1e-6)


def test_with_all_the_budget_and_no_tolerance_it_is_the_full_map() -> None:
    full, found = (m.explain(linear_probe(size=24)) for m in (FULL, ADAPTIVE))
    assert torch.allclose(found.values, full.values, atol=1e-6)
    assert full.n_scored == FULL.calls(24) == ADAPTIVE.calls(24) == 22 * 22 + 1


def test_a_third_of_the_windows_is_scored_and_the_map_stays_on_the_full_grid() -> None:
    method = replace(ADAPTIVE, budget=1 / 3)
    found = method.explain(linear_probe(size=24))
    assert found.values.shape == (22, 22)
    assert found.n_scored == method.calls(24) == 22 * 22 // 3 + 1


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_the_batch_size_moves_nothing(batch_size: int) -> None:
    method = replace(ADAPTIVE, budget=0.3, tolerance=0.05)
    maps = [
        method.explain(linear_probe(size=24, filler=ConstantFiller(0.3), batch_size=b)).values
        for b in (8, batch_size)
    ]
    assert torch.allclose(*maps, atol=1e-5)


@pytest.mark.parametrize(
    ("key", "value"), [("search", "coarse"), ("budget", 0.0), ("budget", 1.1), ("tolerance", -1.0)]
)
def test_wrong_values_are_refused(key: str, value: object) -> None:
    with pytest.raises(UserError, match=rf"method\.{key}={value}: must"):
        replace(FULL, **{key: value})


def test_what_a_full_search_does_not_read_sets_no_heatmaps_apart() -> None:
    other = replace(FULL, tolerance=0.5, budget=0.9)
    assert identity(other) == identity(FULL)
    assert identity(replace(other, search="adaptive")) != identity(ADAPTIVE)
    assert "tolerance" not in plain_numbers(other)
    assert plain_numbers(ADAPTIVE)["budget"] == 1.0
