"""LIME on segments (and LIME-G with a generative filler): the paper's section 3.4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genattr.errors import BadPhotoError
from genattr.method.base import GENERATIVE, Method
from genattr.ops.superpixels import Compactness, Sigma
from genattr.parameters import Several
from genattr.probe import Probe
from genattr.protocols import Segmentation
from genattr.segmentation.base import idle_beside
from genattr.types import Heatmap, Sample, SegmentHoles

Array = NDArray[np.float64]
KERNEL_WIDTH = 0.25
RIDGE_PENALTY = 1.0
LASSO_PENALTY = 1e-3
SMALLEST_NORM = 1e-6  # of a photo, where it is all black


@dataclass(frozen=True)
class Lime(Method):
    """Hide random sets of segments and fit a weighted linear model to the probability.

    Parameters
    ----------
    n_segments, compactness, sigma
        SLIC's; other segmentations take ``n_segments`` or none. The count is approximate, the
        actual one is in the heatmap's details.
    n_samples
        Perturbed photos, the untouched one included.
    distance
        Between photo and perturbed photo: ``cosine_bits`` of the superpixel bits (what the lime
        package runs) or ``l2_image``, the L2 norm of their difference over that of the photo.
    regressor
        ``ridge`` (what the lime package runs) or ``lasso`` (what the paper's text says).
    requires_inpainter
        Refuse fillers that do not synthesize from context: LIME-G.
    segmentation
        What is hidden together: SLIC's superpixels in the paper.
    """

    n_segments: Several
    n_samples: Several
    compactness: Compactness
    sigma: Sigma
    distance: Literal["cosine_bits", "l2_image"]
    regressor: Literal["ridge", "lasso"]
    requires_inpainter: bool = field(metadata={"identity": False})
    segmentation: Segmentation

    @property
    def family(self) -> str:
        return "LIME"

    @property
    def title(self) -> str:
        return self.family + GENERATIVE * self.requires_inpainter

    @property
    def in_words(self) -> str:
        return (
            f"The photo is split into segments. {self.n_samples - 1} random halves of them are "
            "hidden, one after the other, and the classifier is asked each time. A linear model is "
            "fitted to the answers; red segments are those that raise the answer where they stay, "
            "blue ones lower it."
        )

    def unit(self, quantity: str) -> str:
        return f"weight of the segment: what it adds to the {quantity} in the linear model"

    def calls(self, size: int) -> int:
        return self.n_samples + 1

    @property
    def idle(self) -> Sequence[str]:
        return idle_beside(self.segmentation)

    def reads(self, sample: Sample) -> dict[str, Any]:
        if int(self._segments(sample).max()) == 0:
            raise BadPhotoError(
                f"{sample.image_id}: it is one segment for method.segmentation, "
                f"{self.segmentation.title}, and {self.title} needs two"
            )
        return self.segmentation.reads(sample)

    def explain(self, probe: Probe) -> Heatmap:
        holes = self._holes(probe)
        scores, distances = self._measure(probe, holes)
        weights, fit = fit_linear(~holes.removed.numpy(), scores, distances, self.regressor)
        values = torch.from_numpy(weights).float()[holes.segments]
        return probe.heatmap(values, (-np.inf, np.inf), n_segments=len(weights), fit_r2=fit)

    def sample_hole(self, heatmap: Heatmap, probe: Probe) -> Tensor:
        """Return the first sample that hides anything."""
        return self._holes(probe).expand(slice(1, 2))

    def _holes(self, probe: Probe) -> SegmentHoles:
        """Draw the samples: the first removes nothing."""
        segments = self._segments(probe.sample)
        kept = sample_bits(self.n_samples, int(segments.max()) + 1, probe.generator("lime"))
        return SegmentHoles(~kept, segments)

    def _segments(self, sample: Sample) -> Tensor:
        return self.segmentation.split(sample, self.n_segments, self.compactness, self.sigma)

    def _measure(self, probe: Probe, holes: SegmentHoles) -> tuple[Array, Array]:
        """Score the samples and take their distances from the photo."""
        from sklearn.metrics.pairwise import cosine_distances

        if self.distance == "cosine_bits":
            kept = ~holes.removed.numpy()
            return probe.score(holes).double().numpy(), cosine_distances(kept, kept[:1]).ravel()
        norm = probe.image.norm().clamp(min=SMALLEST_NORM)
        scores, distances = [], []
        for images in probe.perturbed(holes):
            scores.append(probe.defined(probe.explained(images)))
            distances.append((images - probe.image).flatten(1).norm(dim=1) / norm)
        return _numpy(scores), _numpy(distances)


def sample_bits(n_samples: int, n_segments: int, generator: torch.Generator) -> Tensor:
    """Draw (n_samples, n_segments) fair bits, True = kept; the first row keeps everything."""
    kept = torch.rand(n_samples, n_segments, generator=generator) < 0.5
    kept[0] = True
    return kept


def fit_linear(
    kept: NDArray[np.bool_], scores: Array, distances: Array, regressor: str
) -> tuple[Array, float]:
    """Fit the lime package's local linear model.

    Parameters
    ----------
    kept
        (N, K) bits; the first row keeps everything.
    scores, distances
        (N,) probabilities, and distances from the photo.
    regressor
        ``ridge`` or ``lasso``.

    Returns
    -------
    (K,) weights of the superpixels, and the weighted R2 of the fit.
    """
    from lime.lime_base import LimeBase
    from sklearn.linear_model import Lasso, Ridge

    models = {"ridge": Ridge(alpha=RIDGE_PENALTY), "lasso": Lasso(alpha=LASSO_PENALTY)}
    _, pairs, fit, _ = LimeBase(kernel, random_state=0).explain_instance_with_data(
        kept.astype(float),
        scores[:, None],
        distances,
        label=0,
        num_features=kept.shape[1],
        feature_selection="none",
        model_regressor=models[regressor],
    )
    return np.array([weight for _, weight in sorted(pairs)]), float(fit)


def kernel(distances: Array) -> Array:
    """Turn distances into the weights of samples: the lime package's exponential kernel."""
    weights: Array = np.sqrt(np.exp(-(distances**2) / KERNEL_WIDTH**2))
    return weights


def _numpy(pieces: list[Tensor]) -> Array:
    return torch.cat(pieces).double().cpu().numpy()
