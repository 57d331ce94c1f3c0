"""What the classifier takes LIME's samples for: the paper's section 5.2 and Figure 8."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch

from genattr.errors import require
from genattr.method.lime import sample_bits
from genattr.ops.superpixels import check_slic, superpixels
from genattr.probe import Probe
from genattr.types import Heatmap, SegmentHoles


@dataclass(frozen=True)
class LabelSkew:
    """Share of samples in the three classes that are most frequent over all photos.

    The samples are those that LIME would draw under the same seed, filled by the run's filler; the
    map does not matter.

    Parameters
    ----------
    n_samples, n_segments, compactness, sigma
        As LIME's.
    """

    n_samples: int
    n_segments: int
    compactness: float
    sigma: float

    direction: ClassVar[Literal["lower", "higher"]] = "lower"

    def __post_init__(self) -> None:
        require(self.n_samples >= 2, f"metric label_skew n_samples={self.n_samples}: at least 2")
        require(self.n_segments >= 2, f"metric label_skew n_segments={self.n_segments}: at least 2")
        check_slic("metric.label_skew", self.compactness, self.sigma)

    def calls(self, size: int) -> int:
        return self.n_samples

    def per_image(self, heatmap: Heatmap, probe: Probe) -> dict[str, Any]:
        """Return ``labels``: the first choice of each sample, the untouched photo's included."""
        segments = superpixels(probe.sample.image, self.n_segments, self.compactness, self.sigma)
        kept = sample_bits(self.n_samples, int(segments.max()) + 1, probe.generator("lime"))
        labels: list[int] = []
        for images in probe.perturbed(SegmentHoles(~kept, segments)):
            with torch.no_grad():
                labels += probe.classifier(images).argmax(dim=1).tolist()
            probe.count_scored(len(images))
        return {"labels": labels}

    def aggregate(
        self, rows: Sequence[Mapping[str, Any]], held_out_rows: Sequence[Mapping[str, Any]]
    ) -> dict[str, float | Sequence[float]]:
        first = {label for label, _ in most_common(rows)[:3]}
        return {"top3": [_share(row["labels"], first) for row in rows]}


def most_common(rows: Sequence[Mapping[str, Any]]) -> list[tuple[int, int]]:
    """Count the labels of all photos' samples, the most frequent first, ties by class."""
    counts = Counter(int(label) for row in rows for label in row["labels"])
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _share(labels: Sequence[int], wanted: set[int]) -> float:
    return sum(int(label) in wanted for label in labels) / len(labels)
