"""Batches of the classifier: a few sizes, which follow from what is asked about a photo alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from genattr.probe import Probe
from genattr.scoring import batch_rows
from genattr.types import DenseHoles
from tests.conftest import linear_probe
from tests.contract.options import built, compose_config


@given(st.integers(1, 600), st.integers(1, 600))
def test_rows_are_a_power_of_two_or_the_largest_batch(most: int, images: int) -> None:
    rows = batch_rows(min(images, most), most)
    powers = [2**exponent for exponent in range(10) if 2**exponent < most]
    assert rows == min(size for size in [*powers, most] if size >= min(images, most))


@pytest.mark.parametrize(("images", "sizes"), [(29, [32]), (512, [512]), (520, [512, 8]), (1, [1])])
def test_what_is_left_of_a_large_batch_is_small(images: int, sizes: Sequence[int]) -> None:
    probe = linear_probe(size=4, batch_size=512)
    seen: list[int] = []
    plain = type(probe.classifier)

    class Watched(plain):  # type: ignore[misc, valid-type]
        def __call__(self, batch: Tensor) -> Tensor:
            seen.append(len(batch))
            answer: Tensor = super().__call__(batch)
            return answer

    object.__setattr__(probe.classifier, "__class__", Watched)
    probe.scorer.logits(torch.rand(images, 3, 4, 4))
    assert seen == sizes


def test_sizes_agree_and_rows_do_not_depend_on_their_neighbors() -> None:
    cfg = compose_config()
    dataset, classifier, filler = (
        built(cfg[group], group) for group in ("dataset", "classifier", "filler")
    )
    sample = dataset.load(0, classifier.input_size)
    side = classifier.input_size
    holes = torch.zeros(7, 1, side, side, dtype=torch.bool)
    for row in range(len(holes)):
        holes[row, :, 20 * row : 20 * row + 60, 50:120] = True

    def scores(chosen: Tensor, batch_size: int) -> Tensor:
        probe = Probe(sample, int(sample.label), classifier, filler, batch_size=batch_size)
        return probe.score(DenseHoles(chosen))

    eight = scores(holes, 512)
    for size in (1, 2, 4):
        assert torch.allclose(scores(holes, size), eight, rtol=0, atol=1e-5)
    assert torch.equal(scores(holes[[5, 1, 0, 6, 2]], 512), eight[[5, 1, 0, 6, 2]])
