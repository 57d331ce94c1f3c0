"""Figures of a report that no single run draws: curves of many methods, labels of samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from genattr.analysis.statistics import Array
from genattr.plot.figures import DPI, LITERALLY

COLORS = (  # color-blind people can distinguish them
    *("#e69f00", "#009e73", "#56b4e9", "#0072b2", "#cc79a7"),
    *("#7f7f7f", "#d55e00", "#000000", "#8c564b"),
)
SHOWN_LABELS = 50  # the paper's Figure 8
NAMED_LABELS = 3


@dataclass(frozen=True)
class Curve:
    """A run's score over the threshold.

    Attributes
    ----------
    title
        Of the run.
    family, is_generative
        Name that the method shares with its counterpart, and whether it is the G method.
    thresholds, means
        (n,) each, lower = better.
    """

    title: str
    family: str
    is_generative: bool
    thresholds: Sequence[float]
    means: Array


@mpl.rc_context(LITERALLY)
def threshold_curves(
    curves: Sequence[Curve], path: Path, *, ylabel: str, title: str, note: str
) -> Path:
    """Draw a score over the threshold, one line per method, the best threshold marked (Figure S6).

    A G method has its family's color, solid; the plain one is dashed.
    """
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    families = list(dict.fromkeys(curve.family for curve in curves))
    for curve in curves:
        color = COLORS[families.index(curve.family) % len(COLORS)]
        style = "-" if curve.is_generative else "--"
        axes.plot(
            curve.thresholds, curve.means, style, color=color, linewidth=1.6, label=curve.title
        )
        best = int(np.argmin(curve.means))
        axes.plot(curve.thresholds[best], curve.means[best], "o", color=color, markersize=6)
    axes.set_xlabel("threshold α (share of the map's maximum); dots: the lowest", fontsize=8.5)
    axes.set_ylabel(ylabel, fontsize=8.5)
    axes.set_title(f"{title}\n{note}", fontsize=9.5)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=7.5, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=DPI, facecolor="white")
    return path


@mpl.rc_context(LITERALLY)
def label_histogram(
    counts: Mapping[str, Sequence[tuple[str, int]]], path: Path, *, title: str
) -> Path:
    """Draw the counts of the samples' most frequent classes, one panel per run (Figure 8).

    Parameters
    ----------
    counts
        Class and count, the most frequent first, by the run's title.
    """
    figure = Figure(figsize=(4.2 * len(counts), 3.4), layout="constrained")
    top = max(_percent(pairs)[0] for pairs in counts.values())
    for index, (name, pairs) in enumerate(counts.items(), start=1):
        axes = figure.add_subplot(1, len(counts), index)
        heights = _percent(pairs)[:SHOWN_LABELS]
        axes.bar(range(len(heights)), heights, color="#0072b2", width=0.9)
        for place, (label, _) in enumerate(pairs[:NAMED_LABELS]):
            axes.annotate(
                f"{place + 1}. {label}", (0.97, 0.94 - 0.08 * place), xycoords="axes fraction",
                ha="right", va="top", fontsize=8,
            )  # fmt: skip
        total = sum(count for _, count in pairs)
        share = sum(_percent(pairs)[:NAMED_LABELS])
        axes.set_title(f"{name}\nfirst three: {share:.1f} % of {total:,} samples", fontsize=9)
        axes.set_ylim(0, top * 1.08)
        axes.set_xlim(-1, SHOWN_LABELS)
        axes.set_xlabel(f"classes by frequency, the first {SHOWN_LABELS}", fontsize=8)
        axes.set_ylabel("% of samples", fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=10.5)
    figure.savefig(path, dpi=DPI, facecolor="white")
    return path


def _percent(pairs: Sequence[tuple[str, int]]) -> list[float]:
    total = sum(count for _, count in pairs)
    return [100 * count / total for _, count in pairs]
