"""RISE against a slow reading of its published rule, and where its answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage.transform import resize

from genattr.errors import UserError
from genattr.method.rise import Rise
from tests.conftest import LinearClassifier, linear_probe

METHOD = Rise(n_samples=40, cells=4, keep=0.3)


def slow_masks(kept: NDArray, shifts: NDArray, size: int) -> NDArray:
    """Make masks one by one, as the authors' ``generate_masks`` does."""
    cells = kept.shape[1]
    cell = int(np.ceil(size / cells))
    made = []
    for bits, (x, y) in zip(kept, shifts, strict=True):
        grid = bits.astype(np.float64)
        side = ((cells + 1) * cell,) * 2
        large = resize(grid, side, order=1, mode="reflect", anti_aliasing=False)
        made.append(large[x : x + size, y : y + size])
    return np.stack(made)


@pytest.mark.parametrize(("size", "cells"), [(12, 4), (15, 4), (15, 7)])
def test_masks_and_heatmap_are_those_of_the_published_rule(size: int, cells: int) -> None:
    probe = linear_probe(size)
    method = Rise(n_samples=21, cells=cells, keep=0.3)
    heatmap = method.explain(probe)
    drawn = method.masks(probe)
    masks = slow_masks(drawn.kept.numpy(), drawn.shifts.numpy(), size)
    np.testing.assert_allclose(1 - drawn.expand(slice(None))[:, 0], masks, atol=1e-6)
    total = np.zeros((size, size))
    for mask in masks:
        image = probe.image * torch.from_numpy(mask).float()  # the filler is black
        total += float(probe.prob(image[None])[0]) * mask
    np.testing.assert_allclose(heatmap.values, total / 21 / 0.3, atol=1e-6)
    assert heatmap.value_range == (0, 1 / 0.3)
    assert heatmap.n_scored == method.calls(size) == 22


def test_where_nothing_matters_the_map_is_the_score_everywhere() -> None:
    probe = linear_probe(12)
    probe.scorer.classifier = LinearClassifier(torch.zeros(3, 12, 12))
    values = Rise(n_samples=1000, cells=4, keep=0.5).explain(probe).values
    assert values.mean() == pytest.approx(0.5, abs=0.02)
    assert (values - 0.5).abs().max() < 0.1


def test_the_pixels_that_matter_stand_out() -> None:
    probe = linear_probe(12, explain="logit")
    weights = torch.zeros(3, 12, 12)
    weights[:, :3, :3] = 1
    probe.scorer.classifier = LinearClassifier(weights)
    values = Rise(n_samples=2000, cells=4, keep=0.5).explain(probe).values
    assert values[:3, :3].min() > values[6:, 6:].max()


def test_draws_follow_the_seed_and_not_the_batch() -> None:
    def values(**options: int) -> torch.Tensor:
        return METHOD.explain(linear_probe(12, **options)).values

    assert torch.equal(values(), values())
    assert not torch.equal(values(), values(seed=1))
    assert torch.allclose(values(), values(batch_size=3), atol=1e-6)


def test_its_sample_is_the_first_mask() -> None:
    probe = linear_probe(12)
    hole = METHOD.sample_hole(METHOD.explain(probe), probe)
    assert hole.dtype == torch.bool
    assert torch.equal(hole, METHOD.masks(probe).expand(slice(0, 1)) >= 0.5)


def test_more_cells_than_pixels_are_refused() -> None:
    with pytest.raises(UserError, match=r"^method\.cells=9: the classifier's images have 8 pixels"):
        Rise(n_samples=4, cells=9, keep=0.5).calls(8)
