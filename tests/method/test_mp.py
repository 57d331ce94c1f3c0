"""MP's loss and gradient against OpenCV's resize, closed forms and finite differences."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genattr.method.mask import upsample
from genattr.method.mp import MP, LearnedHoles, Views, total_variation
from genattr.probe import Probe
from tests.conftest import (
    ConstantFiller,
    IdentityFiller,
    NoiseFiller,
    linear_probe,
    probes_of_one_classifier,
)

D, N = 12, 4


def mp(**changes: object) -> MP:
    values = {
        "mask_size": N,
        "steps": 5,
        "lr": 0.1,
        "l1": 0.02,
        "tv": 0.3,
        "jitter": 0,
        "jitter_batch": 1,
        "interpolation": "bilinear",
        "objective": "deletion",
        "binarize": False,
        "together": 3,
        "requires_inpainter": False,
    }
    return MP(**(values | changes))


def begun(method: MP, probe: Probe) -> LearnedHoles:
    """Return the search for a photo, before its first step."""
    search = method.search(probe)
    assert search.admit(iter([probe]))
    return search


def loss_by_hand(probe: Probe, fill: float, hole: np.ndarray, method: MP) -> float:
    """Return Eq. 3 in double precision, with OpenCV's bilinear resize."""
    large = cv2.resize(hole, (D, D), interpolation=cv2.INTER_LINEAR)
    x, weights = probe.image.double().numpy(), probe.scorer.classifier.weights.double().numpy()
    logit = ((x * (1 - large) + fill * large) * weights).sum()
    prob = 1 / (1 + np.exp(-logit))
    rows, columns = np.diff(hole, axis=0), np.diff(hole, axis=1)
    smooth = (np.abs(rows) ** 3).sum() + (np.abs(columns) ** 3).sum()
    deletes = method.objective == "deletion"
    size = hole.sum() if deletes else (1 - hole).sum()
    return method.l1 * size + method.tv * smooth + (prob if deletes else -prob)


def gradient_by_differences(probe: Probe, fill: float, hole: np.ndarray, method: MP) -> np.ndarray:
    gradient, step = np.zeros((N, N)), 1e-5
    for cell in np.ndindex(N, N):
        change = np.zeros((N, N))
        change[cell] = step
        ends = [loss_by_hand(probe, fill, hole + sign * change, method) for sign in (1, -1)]
        gradient[cell] = (ends[0] - ends[1]) / (2 * step)
    return gradient


@given(st.integers(0, 30), st.sampled_from(["deletion", "preservation"]))
def test_loss_and_gradient(seed: int, objective: str) -> None:
    method = mp(objective=objective)
    probe = linear_probe(D, seed, ConstantFiller(0.3))
    search = begun(method, probe)
    holes = search.values.requires_grad_()
    hole = holes[0].detach().double().numpy()
    loss = search.loss(holes, search.number)[0]
    loss.backward()
    assert loss.item() == pytest.approx(loss_by_hand(probe, 0.3, hole, method), abs=1e-5)
    expected = gradient_by_differences(probe, 0.3, hole, method)
    assert np.allclose(holes.grad[0].numpy(), expected, atol=1e-5)
    assert (holes.grad[1:] == 0).all()


@pytest.mark.parametrize("objective", ["deletion", "preservation"])
def test_the_first_step_of_adam_follows_the_sign_of_the_gradient(objective: str) -> None:
    method = mp(steps=1, objective=objective)
    probe = linear_probe(D, 4, ConstantFiller(0.3))
    start = begun(method, probe).values[0].double().numpy()
    gradient = gradient_by_differences(probe, 0.3, start, method)
    hole = np.clip(start - 0.1 * np.sign(gradient), 0, 1)
    expected = hole if objective == "deletion" else 1 - hole
    assert np.allclose(method.explain(probe).values.numpy(), expected, atol=1e-4)


def test_the_hole_lowers_the_probability() -> None:
    probe = linear_probe(D, 2, ConstantFiller(0.0))
    heatmap = mp(steps=60, l1=1e-4, tv=0.0).explain(probe)
    hole = torch.nn.functional.interpolate(heatmap.values[None, None], (D, D), mode="bilinear")
    assert float(probe.prob(probe.composite(hole))[0]) < probe.original - 0.02
    weights = probe.scorer.classifier.weights * probe.image  # gray is 0: removing takes this away
    assert weights.sum(0)[hole[0, 0] > 0.5].sum() > 0


def test_total_variation_adds_cubes_of_both_axes() -> None:
    mask = torch.tensor([[0.0, 1.0], [0.5, 1.0]])
    assert total_variation(mask).item() == pytest.approx(1 + 0.125 + 0.125)
    assert total_variation(torch.stack([mask, 0 * mask])).tolist() == pytest.approx([1.25, 0])


def test_views_are_windows_of_the_enlarged_photo() -> None:
    probe = linear_probe(D)
    views = Views(probe, 4)
    pixels = np.ascontiguousarray(probe.image.permute(1, 2, 0).numpy())
    large = cv2.resize(pixels, (D + 4, D + 4), interpolation=cv2.INTER_LINEAR)
    window = large[3 : 3 + D, 1 : 1 + D].transpose(2, 0, 1)
    assert np.allclose(views.at(3, 1).image.numpy(), window, atol=1e-6)
    assert views.at(3, 1) is views.at(3, 1)


@pytest.mark.parametrize("filler", [ConstantFiller(0.3), NoiseFiller()])
def test_each_move_of_a_step_is_a_window_with_the_hole(filler: ConstantFiller) -> None:
    probe = linear_probe(D, filler=filler)
    search = begun(mp(jitter=3, jitter_batch=2), probe)
    images = search.images(search.values, search.number)[0]
    draws = probe.generator("mp")
    torch.rand(N, N, generator=draws)
    hole = upsample(search.values[0], D, "bilinear")
    for image in images:
        view = Views(probe, 3).at(*torch.randint(3, (2,), generator=draws).tolist())
        assert torch.equal(image, view.composite(hole)[0])


def test_every_image_and_fill_is_counted() -> None:
    heatmap = mp(jitter=4, jitter_batch=3).explain(linear_probe(D))
    assert heatmap.n_scored == 3 * 5 + 1 == mp(jitter=4, jitter_batch=3).calls(D)
    assert 1 < heatmap.n_filled <= 17


def test_a_binarized_hole_still_learns() -> None:
    probe = linear_probe(D, 6, ConstantFiller(0.0))
    search = begun(mp(binarize=True, interpolation="nearest"), probe)
    holes = search.values.requires_grad_()
    images = search.images(holes, search.number)[0]
    kept = torch.nn.functional.interpolate(holes[:1, None], (D, D))[0] < 0.5
    assert torch.equal(images[0] == probe.image, kept.expand(3, -1, -1))
    probe.prob(images)[0].backward()
    assert (holes.grad[0] != 0).all()


@pytest.mark.parametrize("together", [1, 2, 8])
def test_photos_together_are_explained_as_one_by_one(together: int) -> None:
    method = mp(jitter=2, jitter_batch=2, together=together)
    alone = [mp(jitter=2, jitter_batch=2).explain(p) for p in probes_of_one_classifier(5)]
    found = [heatmap for _, heatmap in method.explain_many(probes_of_one_classifier(5))]
    for heatmap, expected in zip(found, alone, strict=True):
        assert heatmap.image_id == expected.image_id
        assert torch.allclose(heatmap.values, expected.values, atol=1e-6)
        assert heatmap.n_scored == expected.n_scored


def test_a_filler_that_gives_the_photo_back_leaves_an_empty_map() -> None:
    heatmap = mp().explain(linear_probe(D, filler=IdentityFiller()))
    assert (heatmap.values == 0).all()
    assert heatmap.details["changed_nothing"] == 1
