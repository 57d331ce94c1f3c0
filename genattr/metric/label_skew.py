"""Label distribution of perturbed samples, as LIME draws them: section 5.2 and Figure 8."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from genattr.method.lime import sample_bits
from genattr.metric.base import Direction, Metric, Rows
from genattr.ops.superpixels import Compactness, Sigma, superpixels
from genattr.parameters import Several
from genattr.probe import Probe
from genattr.types import Heatmap, SegmentHoles


@dataclass(frozen=True)
class LabelSkew(Metric):
    """Share of samples in the three classes that are most frequent over all photos.

    The samples are those that LIME would draw under the same seed, filled by the run's filler; the
    map does not matter.

    Parameters
    ----------
    n_samples
        Samples of a photo, drawn as LIME draws them.
    n_segments, compactness, sigma
        Of LIME's superpixels: about so many, more or less square, smoothed before.
    """

    n_samples: Several
    n_segments: Several
    compactness: Compactness
    sigma: Sigma

    direction: ClassVar[Direction] = "lower"

    def calls(self, size: int) -> int:
        return self.n_samples

    def per_image(self, heatmap: Heatmap, probe: Probe) -> dict[str, Any]:
        """Return ``labels``: the first choice of each sample, the untouched photo's included."""
        segments = superpixels(probe.sample.image, self.n_segments, self.compactness, self.sigma)
        kept = sample_bits(self.n_samples, int(segments.max()) + 1, probe.generator("lime"))
        labels: list[int] = []
        for images in probe.perturbed(SegmentHoles(~kept, segments)):
            labels += probe.first_choices(images).tolist()
        return {"labels": labels}

    def aggregate(self, rows: Rows, held_out_rows: Rows) -> dict[str, float | Sequence[float]]:
        first = {label for label, _ in self.histogram(rows)[:3]}
        return {"top3": [_share(row["labels"], first) for row in rows]}

    def histogram(self, rows: Rows) -> list[tuple[int, int]]:
        """Count the labels of all photos' samples, ties by class."""
        counts = Counter(int(label) for row in rows for label in row["labels"])
        return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _share(labels: Sequence[int], wanted: set[int]) -> float:
    return sum(int(label) in wanted for label in labels) / len(labels)
