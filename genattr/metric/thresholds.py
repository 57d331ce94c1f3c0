"""Base of localization and the saliency metric: the tightest box at a threshold alpha."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from genattr.metric.base import Array, Direction, Metric, Rows
from genattr.parameters import one_of
from genattr.types import Heatmap

ALPHAS = tuple(round(0.05 * i, 2) for i in range(20))
Alpha = Annotated[float, *one_of(ALPHAS, "one of 0, 0.05, ..., 0.95")]
Component = Literal["all", "largest"]


@dataclass(frozen=True)
class ThresholdMetric(Metric):
    """A metric with one value for each alpha in 0, 0.05, ..., 0.95, lower = better.

    Parameters
    ----------
    alpha
        Used if there are no held-out photos to choose it on.
    component
        Box around ``all`` pixels above the threshold, or around their ``largest`` component.
    """

    alpha: Alpha
    component: Component

    direction: ClassVar[Direction] = "lower"
    uses_held_out: ClassVar[bool] = True
    thresholds: ClassVar[Sequence[float]] = ALPHAS
    name: ClassVar[str]

    @abstractmethod
    def losses(self, rows: Rows) -> Array:
        """Return (n, 20): one row per photo, one column per alpha, NaN where undefined."""

    def curve(self, rows: Rows) -> Array:
        """Return the (20,) means over the photos; undefined ones are left out."""
        losses = self.losses(rows)
        defined = losses[~np.isnan(losses).any(axis=1)]
        return defined.mean(axis=0) if len(defined) else np.full(len(ALPHAS), np.nan)

    def aggregate(self, rows: Rows, held_out_rows: Rows) -> dict[str, float | Sequence[float]]:
        """Take each photo's value at alpha*, the best on the held-out photos (smallest of ties)."""
        held_out = self.curve(held_out_rows)
        chosen = not np.isnan(held_out).any()
        index = int(np.argmin(held_out)) if chosen else ALPHAS.index(self.alpha)
        return {
            self.name: self.losses(rows)[:, index].tolist(),
            "alpha": ALPHAS[index],
            "alpha_chosen_on_held_out": float(chosen),
        }

    def box(self, heatmap: Heatmap, size: int, threshold: float) -> Array:
        """Return the (4,) tightest box at a threshold."""
        boxes = boxes_at_alphas(heatmap.to_image(size), self.component)
        box: Array = boxes[ALPHAS.index(threshold)].double().numpy()
        return box


def stack(rows: Rows, key: str) -> Array:
    """Stack the rows' lists to (n, 20); a missing list becomes NaNs."""
    nothing = [np.nan] * len(ALPHAS)
    lists = [row[key] if row.get(key) is not None else nothing for row in rows]
    return np.array(lists, dtype=float).reshape(len(lists), len(ALPHAS))


def boxes_at_alphas(heatmap: Tensor, component: Component) -> Tensor:
    """Return the (20, 4) tightest half-open boxes around pixels of at least alpha * maximum.

    Negative values count as 0; a constant map gives the whole image.

    Parameters
    ----------
    heatmap
        (D, D).
    component
        ``all`` or ``largest``.
    """
    positive = heatmap.clamp(min=0)
    above = positive >= torch.tensor(ALPHAS)[:, None, None] * positive.max()
    if component == "largest":
        above = torch.stack([_largest_component(mask) for mask in above])
    x0, x1 = _extent(above.any(dim=1))
    y0, y1 = _extent(above.any(dim=2))
    return torch.stack([x0, y0, x1, y1], dim=1)


def _extent(occupied: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first and one past the last True of each row of an (A, D) tensor."""
    first = occupied.int().argmax(dim=1)
    return first, occupied.shape[1] - occupied.flip(1).int().argmax(dim=1)


def _largest_component(mask: Tensor) -> Tensor:
    from scipy import ndimage

    labels, _ = ndimage.label(mask.numpy())
    sizes = np.bincount(labels.ravel())[1:]
    return torch.from_numpy(labels == 1 + int(np.argmax(sizes)))
