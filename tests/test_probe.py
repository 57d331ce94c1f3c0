"""The seam: compositing, scoring, seeds, counters."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from genattr.types import DenseHoles, RectangleHoles, SegmentHoles
from tests.conftest import ConstantFiller, IdentityFiller, NoiseFiller, linear_probe


def random_holes(count: int, size: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 1, size, size, generator=generator) < 0.4


@given(st.integers(0, 10_000))
def test_kept_pixels_are_bit_equal_and_removed_ones_filled(seed: int) -> None:
    probe = linear_probe(filler=NoiseFiller())
    hole = random_holes(3, probe.size, seed)
    for kind in (hole, hole.float()):
        composite = probe.composite(kind)
        kept = ~hole.expand_as(composite)
        assert torch.equal(composite[kept], probe.image.expand_as(composite)[kept])
        assert torch.equal(composite[~kept], probe.fill(kind)[~kept])


def test_soft_hole_is_equation_1() -> None:
    probe = linear_probe(filler=ConstantFiller(0.25))
    hole = torch.rand(2, 1, probe.size, probe.size)
    expected = probe.image * (1 - hole) + 0.25 * hole
    assert torch.allclose(probe.composite(hole), expected)


def test_hard_hole_is_binary_forward_and_straight_through_backward() -> None:
    probe = linear_probe(filler=ConstantFiller(0.25))
    soft = torch.rand(1, 1, probe.size, probe.size, requires_grad=True)
    hard = probe.composite(soft, hard=True)
    assert torch.equal(hard.detach(), probe.composite(soft.detach() >= 0.5))
    hard.sum().backward()
    expected = (0.25 - probe.image).sum(dim=0)
    assert torch.allclose(soft.grad[0, 0], expected, atol=1e-6)


def test_gradient_of_prob_is_the_closed_form() -> None:
    probe = linear_probe(filler=ConstantFiller(0.0))
    hole = torch.full((1, 1, probe.size, probe.size), 0.3, requires_grad=True)
    p = probe.prob(probe.composite(hole))
    p.sum().backward()
    weights = probe.scorer.classifier.weights
    expected = (p * (1 - p)).detach() * (-(probe.image * weights).sum(dim=0))
    assert torch.allclose(hole.grad[0, 0], expected, atol=1e-6)


def test_log_odds_equal_the_logit_and_stay_finite_at_certainty() -> None:
    probe = linear_probe()
    weights = probe.scorer.classifier.weights
    images = probe.image[None] * torch.tensor([1.0, 1e4]).view(2, 1, 1, 1)
    images.requires_grad_()
    odds = probe.log_odds(images)
    assert torch.allclose(odds, (images * weights).sum(dim=(1, 2, 3)), rtol=1e-5)
    odds.sum().backward()
    assert torch.isfinite(images.grad).all()


@given(st.integers(1, 20), st.integers(0, 100))
def test_score_does_not_depend_on_the_batch_size(batch_size: int, seed: int) -> None:
    holes = DenseHoles(random_holes(11, 12, seed))
    scores = linear_probe(batch_size=batch_size).score(holes)
    assert torch.allclose(scores, linear_probe(batch_size=7).score(holes), atol=1e-5)


@given(st.permutations(range(11)))
def test_score_of_a_hole_does_not_depend_on_its_neighbors(order: list[int]) -> None:
    masks = random_holes(11, 12, 0)
    for filler in (ConstantFiller(), NoiseFiller()):
        scores = linear_probe(filler=filler).score(DenseHoles(masks))
        shuffled = linear_probe(filler=filler).score(DenseHoles(masks[order]))
        assert torch.equal(shuffled, scores[order])


def test_identity_filler_scores_exactly_the_original() -> None:
    probe = linear_probe(filler=IdentityFiller())
    scores = probe.score(DenseHoles(random_holes(20, probe.size, 3)))
    assert (scores == probe.original).all()


def test_counts_what_was_scored_and_filled() -> None:
    seen: list[int] = []
    probe = linear_probe(filler=IdentityFiller(), on_scored=seen.append)
    probe.score(DenseHoles(random_holes(11, probe.size, 3)))
    assert (probe.counts.scored, probe.counts.filled, sum(seen)) == (11, 11, 11)


def test_a_filler_that_does_not_read_the_hole_fills_once_a_photo() -> None:
    probe = linear_probe(filler=ConstantFiller())
    probe.score(DenseHoles(random_holes(11, probe.size, 3)))
    assert probe.counts.filled == 1


def test_seeds_depend_on_photo_purpose_and_run_seed_alone() -> None:
    def draw(purpose: str = "a", **options: int) -> torch.Tensor:
        return torch.rand(4, generator=linear_probe(**options).generator(purpose))

    assert torch.equal(draw(), draw())
    assert not torch.equal(draw(), draw("b"))
    assert not torch.equal(draw(), draw(seed=1))


def test_rectangles_and_segments_expand_to_their_masks() -> None:
    rectangles = RectangleHoles(torch.tensor([[1, 0, 3, 2], [0, 0, 0, 0]]), 4)
    first, second = rectangles.expand(slice(0, 2))
    assert first[0].nonzero().tolist() == [[0, 1], [0, 2], [1, 1], [1, 2]]
    assert not second.any()
    segments = torch.tensor([[0, 1], [2, 2]])
    holes = SegmentHoles(torch.tensor([[True, False, False], [False, True, True]]), segments)
    assert holes.expand(slice(0, 2))[:, 0].tolist() == [
        [[True, False], [False, False]],
        [[False, True], [True, True]],
    ]
