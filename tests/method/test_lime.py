"""LIME against the weighted ridge's closed form and the lime package."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lime.lime_image import LimeImageExplainer
from torch import Tensor

from genattr.errors import UserError
from genattr.method.lime import Lime, fit_linear, kernel, sample_bits
from genattr.ops.superpixels import superpixels
from genattr.segmentation.slic import Slic
from tests.conftest import ConstantFiller, IdentityFiller, linear_probe


def lime(**changes: object) -> Lime:
    values = {
        "n_segments": 6,
        "n_samples": 60,
        "compactness": 10.0,
        "sigma": 0.0,
        "distance": "cosine_bits",
        "regressor": "ridge",
        "requires_inpainter": False,
        "segmentation": Slic(),
    }
    return Lime(**(values | changes))


def test_fit_is_the_weighted_ridge_in_closed_form() -> None:
    random = np.random.default_rng(0)
    kept = random.random((50, 7)) < 0.5
    scores, distances = random.random(50), random.random(50)
    weights, _ = fit_linear(kept, scores, distances, "ridge")
    w = np.exp(-(distances**2) / 0.25**2) ** 0.5
    x = kept - np.average(kept, axis=0, weights=w)
    y = scores - np.average(scores, weights=w)
    expected = np.linalg.solve(x.T @ (w[:, None] * x) + np.eye(7), x.T @ (w * y))
    assert np.allclose(weights, expected, atol=1e-10)


def test_equals_the_lime_package_on_the_same_segments_and_bits() -> None:
    probe = linear_probe(size=24, filler=ConstantFiller(0.5))
    method = lime()
    ours = method.explain(probe)
    segments = superpixels(probe.image, 6, 10.0, 0.0)
    kept = sample_bits(60, int(segments.max()) + 1, probe.generator("lime"))

    def classify(images: np.ndarray) -> np.ndarray:
        tensor = torch.from_numpy(images).permute(0, 3, 1, 2).float()
        return probe.scorer.classifier(tensor).softmax(1).numpy()

    package = LimeImageExplainer(random_state=0, feature_selection="none")
    package.random_state = SameBits(kept.numpy())
    explanation = package.explain_instance(
        probe.image.permute(1, 2, 0).numpy().astype(np.float64),
        classify,
        labels=(1,),
        top_labels=None,
        hide_color=0.5,
        num_samples=60,
        segmentation_fn=lambda _: segments.numpy(),
        random_seed=0,
    )
    expected = np.zeros(kept.shape[1])
    for segment, weight in explanation.local_exp[1]:
        expected[segment] = weight
    assert np.allclose(ours.values.numpy(), expected[segments.numpy()], atol=1e-5)


class SameBits:
    """Stands in for the package's random state and returns the bits we drew."""

    def __init__(self, kept: np.ndarray) -> None:
        self._kept = kept

    def randint(self, low: int, high: int, size: int) -> np.ndarray:
        assert (low, high, size) == (0, 2, self._kept.size)
        return self._kept.astype(int).ravel()


def test_bits_are_fair_and_the_first_row_keeps_everything() -> None:
    kept = sample_bits(2000, 10, torch.Generator().manual_seed(0))
    assert kept[0].all()
    assert abs(kept[1:].float().mean() - 0.5) < 0.02


def test_kernel_is_that_of_the_lime_package() -> None:
    distances = np.linspace(0, 1, 5)
    assert np.allclose(kernel(distances), LimeImageExplainer().base.kernel_fn(distances))


@pytest.mark.parametrize("changes", [{}, {"distance": "l2_image"}, {"regressor": "lasso"}])
def test_identity_filler_gives_a_zero_map(changes: dict[str, str]) -> None:
    heatmap = lime(**changes).explain(linear_probe(size=24, filler=IdentityFiller()))
    assert torch.allclose(heatmap.values, torch.zeros(24, 24), atol=1e-9)


def test_l2_distance_is_relative_to_the_photo() -> None:
    probe = linear_probe(size=24, filler=ConstantFiller(0.0))
    segments = superpixels(probe.image, 6, 10.0, 0.0)
    from genattr.types import SegmentHoles

    everything = torch.ones(1, int(segments.max()) + 1, dtype=torch.bool)
    _, distances = lime(distance="l2_image")._measure(probe, SegmentHoles(everything, segments))
    assert distances[0] == pytest.approx(1.0)


def test_l2_distances_of_a_black_photo_are_numbers() -> None:
    probe = linear_probe(size=24, filler=ConstantFiller(0.5))
    probe.image.zero_()
    heatmap = lime(distance="l2_image").explain(probe)
    assert heatmap.values.isfinite().all()
    same = linear_probe(size=24, filler=IdentityFiller())
    same.image.zero_()
    assert torch.allclose(lime(distance="l2_image").explain(same).values, torch.zeros(24, 24))


@pytest.mark.parametrize("distance", ["cosine_bits", "l2_image"])
def test_a_classifier_that_gives_nan_is_told(distance: str) -> None:
    probe = linear_probe(size=24, filler=ConstantFiller(0.0))
    plain = type(probe.classifier)

    class NoNumbers(plain):  # type: ignore[misc, valid-type]
        """Gives none where anything is black."""

        def __call__(self, images: Tensor) -> Tensor:
            logits: Tensor = super().__call__(images)
            is_black = (images == 0).flatten(1).any(dim=1)
            return logits.masked_fill(is_black[:, None], torch.nan)

    object.__setattr__(probe.classifier, "__class__", NoNumbers)
    with pytest.raises(UserError, match=r"^the classifier gives NaN for noise0: check its weights"):
        lime(distance=distance).explain(probe)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("compactness", 0, "method.compactness=0: must be above 0 and finite"),
        ("compactness", float("nan"), "method.compactness=nan: must be above 0 and finite"),
        ("sigma", -1, "method.sigma=-1: must be at least 0 and finite"),
        ("sigma", float("inf"), "method.sigma=inf: must be at least 0 and finite"),
    ],
)
def test_values_that_slic_cannot_take_are_refused(key: str, value: float, told: str) -> None:
    with pytest.raises(UserError) as caught:
        lime(**{key: value})
    assert str(caught.value) == told


def test_batch_size_moves_nothing_beyond_float_noise() -> None:
    maps = [lime().explain(linear_probe(size=24, batch_size=b)).values for b in (1, 7, 64)]
    assert torch.allclose(maps[0], maps[1], atol=1e-5)
    assert torch.allclose(maps[0], maps[2], atol=1e-5)


def test_the_actual_count_of_superpixels_is_told() -> None:
    heatmap = lime().explain(linear_probe(size=24))
    assert heatmap.details["n_segments"] == len(superpixels(heatmap_image(), 6, 10.0, 0.0).unique())


def heatmap_image() -> torch.Tensor:
    return linear_probe(size=24).image


def test_the_lasso_leaves_out_what_explains_less_than_its_penalty() -> None:
    """At its optimum each weight has the penalty as gradient, and those of 0 at most that."""
    random = np.random.default_rng(0)
    kept = random.random((80, 6)) < 0.5
    scores, distances = 0.02 * kept[:, 0] - 0.01 * kept[:, 1] + 0.5, random.random(80)
    weights, _ = fit_linear(kept, scores, distances, "lasso")
    w = np.exp(-(distances**2) / 0.25**2) ** 0.5
    x = kept - np.average(kept, axis=0, weights=w)
    left = scores - np.average(scores, weights=w) - x @ weights
    gradient = x.T @ (w * left) / w.sum()
    assert 0 < np.count_nonzero(weights) < 6
    chosen = weights != 0
    assert gradient[chosen] == pytest.approx(0.001 * np.sign(weights[chosen]), abs=2e-5)
    assert (np.abs(gradient) <= 0.001 + 2e-5).all()
