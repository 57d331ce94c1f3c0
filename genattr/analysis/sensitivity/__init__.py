"""SAM sensitivity: how much heatmaps change with a setting that should not matter (section 4.4).

    python -m genattr.analysis.sensitivity multirun/2026-01-31_12-00-00

compares the finished members of a sweep, by its folder or its id; ``--help`` lists the options.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genattr.analysis.similarity import MEASURES, pair_similarities, pairs
from genattr.analysis.statistics import Estimate, estimate
from genattr.types import Heatmap

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """One measure over all photos.

    Attributes
    ----------
    score
        Mean over photos of the mean over pairs, with its interval over photos; its ``undefined``
        counts photos without any defined pair.
    over_images
        Standard deviation of the photos' means.
    over_pairs
        Standard deviation among a photo's own pairs, averaged over the photos.
    pairs, undefined_pairs
        How many pairs of maps there are, and how many of them have a constant map.
    """

    score: Estimate
    over_images: float
    over_pairs: float
    pairs: int
    undefined_pairs: int


@dataclass(frozen=True)
class Sensitivity:
    """The similarity of each photo's heatmaps under several values of one key.

    Attributes
    ----------
    title
        Method, filler and classifier, for people.
    over
        The key that varies, such as ``patch_size``.
    values
        Its k values, as text.
    family
        What the G method and its plain counterpart have in common, for pictures.
    photos
        Name and explained class of the photo, one per row.
    similarities
        (photos, k (k - 1) / 2, 3): pairs and measures in the order of ``similarity.pairs`` and
        ``similarity.MEASURES``; NaN = undefined.
    """

    title: str
    over: str
    values: Sequence[str]
    photos: Sequence[tuple[str, int]]
    similarities: Array
    family: str = ""

    @property
    def spreads(self) -> dict[str, Spread]:
        """Sum up each measure."""
        return {name: spread(self.similarities[:, :, i]) for i, name in enumerate(MEASURES)}

    def to_others(self, value: str) -> dict[str, float]:
        """Average the similarity of one value's maps to those of the other values."""
        columns = [index for index, pair in enumerate(pairs(self.values)) if value in pair]
        return {
            name: spread(self.similarities[:, columns, i]).score.mean
            for i, name in enumerate(MEASURES)
        }

    def means(self, section: str = "sensitivity") -> dict[str, float]:
        """Return the means alone under flat names, as a tracking store lists them."""
        return {f"{section}/{name}": one.score.mean for name, one in self.spreads.items()}

    def metrics(self, section: str = "sensitivity") -> dict[str, float]:
        """Return every number under a flat name, as a run's summary has them."""
        flat: dict[str, float] = {}
        for name, measure in self.spreads.items():
            flat |= {
                f"{section}/{name}": measure.score.mean,
                f"{section}/interval/{name}_low": measure.score.low,
                f"{section}/interval/{name}_high": measure.score.high,
                f"{section}/spread/{name}_over_images": measure.over_images,
                f"{section}/spread/{name}_over_pairs": measure.over_pairs,
                f"{section}/count/{name}_pairs": measure.pairs,
                f"{section}/count/{name}_undefined_pairs": measure.undefined_pairs,
            }
        return flat

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield one row per photo: mean, spread and single values of its pairs, by measure."""
        for (image_id, target), scores in zip(self.photos, self.similarities, strict=True):
            row = {"title": self.title, "over": self.over, "image_id": image_id, "target": target}
            row |= {"values": list(self.values), "family": self.family}
            for name, column in zip(MEASURES, scores.T, strict=True):
                row |= {
                    name: _mean(column),
                    f"{name}_over_pairs": _deviation(column),
                    f"{name}_undefined_pairs": int(np.isnan(column).sum()),
                    f"{name}_pairs": column.tolist(),
                }
            yield row


def spread(similarities: Array) -> Spread:
    """Sum up one measure.

    Parameters
    ----------
    similarities
        (photos, pairs), NaN = undefined.
    """
    means = [_mean(row) for row in similarities]
    return Spread(
        score=estimate(means),
        over_images=_deviation(np.array(means)),
        over_pairs=_mean(np.array([_deviation(row) for row in similarities])),
        pairs=similarities.size,
        undefined_pairs=int(np.isnan(similarities).sum()),
    )


def compare(
    title: str,
    over: str,
    heatmaps: Mapping[str, Iterable[Heatmap]],
    size: int,
    family: str = "",
) -> Sensitivity:
    """Compare heatmaps of the same photos under several values of one key.

    Parameters
    ----------
    title
        Method, filler and classifier.
    over
        The key that varies.
    heatmaps
        By value, at least two: the maps of the same photos and classes in the same order; only one
        photo's maps are held at a time.
    size
        D of the classifier.
    family
        See ``Sensitivity``.

    Raises
    ------
    ValueError
        If the photos or the classes differ.
    """
    photos: list[tuple[str, int]] = []
    similarities: list[Array] = []
    for maps in zip(*heatmaps.values(), strict=True):
        names = {(heatmap.image_id, heatmap.target) for heatmap in maps}
        if len(names) > 1:
            raise ValueError(f"heatmaps of different photos or classes: {sorted(names)}")
        photos += names
        similarities.append(pair_similarities(maps, size))
    n_pairs = len(pairs(list(heatmaps)))
    stacked = np.array(similarities).reshape(len(photos), n_pairs, len(MEASURES))
    return Sensitivity(title, over, list(heatmaps), photos, stacked, family or title)


def _mean(values: Array) -> float:
    """Average the defined values; NaN where there is none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def _deviation(values: Array) -> float:
    """Return the sample standard deviation of the defined values; NaN of fewer than two."""
    defined = values[~np.isnan(values)]
    return float(defined.std(ddof=1)) if len(defined) > 1 else float("nan")
