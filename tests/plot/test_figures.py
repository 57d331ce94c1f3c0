"""Pictures, tested by their algebra."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from genattr.plot.figures import MOST_BOXES, alpha_curves, draw_boxes, heatmap_grid, overlay, wrap
from genattr.plot.parts import Column, Photo

RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.integers(0, 256, (16, 16, 3), dtype=np.uint8)
MAP = RANDOM.standard_normal((16, 16)).astype(np.float32)


def photos(count: int) -> list[Photo]:
    boxes = np.array([[2, 3, 9, 12]], np.float32)
    return [
        Photo(f"photo {i}", IMAGE, boxes, f"photo {i} · class · p = 0.50") for i in range(count)
    ]


def columns(count: int, rows: int) -> list[Column]:
    maps = {f"photo {i}": MAP for i in range(rows)}
    captions = dict.fromkeys(maps, "deletion 0.10 · insertion 0.50 · saliency -0.20")
    return [
        Column(f"SP · filler{i}", "patch_size 29 · stride 3", maps, captions) for i in range(count)
    ]


def test_a_zero_map_is_the_gray_photo() -> None:
    plain = overlay(IMAGE, np.zeros((16, 16), np.float32))
    assert (plain[..., 0] == plain[..., 1]).all()
    assert (plain[..., 0] == plain[..., 2]).all()


def test_evidence_for_is_red_and_against_is_blue() -> None:
    positive, negative = (overlay(IMAGE, np.full((16, 16), v, np.float32)) for v in (1, -1))
    assert (positive[..., 0] > positive[..., 2]).all()
    assert (negative[..., 0] < negative[..., 2]).all()


def test_scale_does_not_matter_and_nan_counts_as_zero() -> None:
    assert np.array_equal(overlay(IMAGE, MAP), overlay(IMAGE, MAP * 4))
    broken = MAP.copy()
    broken[0, 0] = np.nan
    zero = MAP.copy()
    zero[0, 0] = 0
    assert np.array_equal(overlay(IMAGE, broken), overlay(IMAGE, zero))


@pytest.mark.parametrize(("rows", "runs"), [(1, 1), (2, 4), (6, 8), (32, 1)])
def test_grids_are_written_in_a_shape_to_look_at(tmp_path: Path, rows: int, runs: int) -> None:
    path = heatmap_grid(
        photos(rows),
        columns(runs, rows),
        tmp_path / "grid.png",
        title="a title",
        note="a note " * 30,
    )
    with Image.open(path) as image:
        assert 0.3 < image.width / image.height < 3
        assert image.width < 4000


def test_a_missing_heatmap_leaves_a_labeled_cell(tmp_path: Path) -> None:
    heatmap_grid(photos(2), columns(2, 1), tmp_path / "grid.png")


def test_curves_are_written(tmp_path: Path) -> None:
    alphas = [0.0, 0.5, 0.95]
    curve = np.array([0.5, 0.2, 0.9])
    path = alpha_curves(
        {"SP": curve}, alphas, tmp_path / "c.png", chosen={"SP": 0.5}, ylabel="error"
    )
    Image.open(path).verify()


def test_dollars_are_no_formula(tmp_path: Path) -> None:
    dollars = r"a$\x$_$^{$ · 5$ to 9$"
    shown = Photo(dollars, IMAGE, None, dollars)
    column = Column(dollars, dollars, {dollars: MAP}, {dollars: dollars})
    path = tmp_path / "picture.png"
    heatmap_grid([shown], [column, column], path, title=dollars, note=dollars)
    curve = {dollars: np.array([0.5, 0.2])}
    chosen = {dollars: 0.5}
    alpha_curves(curve, [0.0, 0.5], path, chosen=chosen, ylabel=dollars, title=dollars)


def test_lines_break_inside_an_item_only_where_it_is_longer_than_a_line() -> None:
    assert wrap("one two three · four", 9) == "one two\nthree\nfour"
    assert wrap("one two three · 4", 9) == "one two\nthree · 4"
    assert wrap("weights some_long_name.pt", 12) == "weights some\n_long_name.p\nt"


def test_lines_break_between_items() -> None:
    assert wrap("one two · three · four five six", 15) == "one two · three\nfour five six"
    assert wrap("") == ""


def test_a_single_color_shows_evidence_for_the_class_alone() -> None:
    photo = np.full((2, 2, 3), 128, dtype=np.uint8)
    heatmap = np.array([[1.0, 0.5], [0.0, -1.0]], dtype=np.float32)
    shown = overlay(photo, heatmap, "single").astype(int)
    plain = overlay(photo, np.zeros((2, 2), dtype=np.float32)).astype(int)
    assert np.array_equal(shown[1], plain[1])
    gray = shown @ [0.299, 0.587, 0.114]
    assert gray[0, 0] < gray[0, 1] < gray[1, 0]


def test_of_a_crowd_the_first_boxes_are_drawn() -> None:
    axes = Figure().add_subplot()
    draw_boxes(axes, np.ones((100_000, 4), np.float32), "yellow")
    assert len(axes.patches) == MOST_BOXES
