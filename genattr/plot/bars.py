"""Bars of similarity with their spread over photos, as in the paper's Figure 6."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from genattr.analysis.sensitivity import Sensitivity
from genattr.analysis.similarity import MEASURES
from genattr.plot.figures import DPI, LITERALLY, wrap

PANELS = {
    "ssim": "SSIM",
    "hog": "Pearson correlation of HOG features",
    "spearman": "Spearman rank correlation",
}
HUES = ("#e69f00", "#009e73", "#0072b2", "#d55e00", "#cc79a7", "#56b4e9", "#7f7f7f")
BAR = 0.9  # inches
PANEL_GAP = 0.9


@mpl.rc_context(LITERALLY)
def similarity_bars(groups: Sequence[Sensitivity], path: Path, *, title: str = "") -> Path:
    """Draw one panel per measure, one bar per group; whiskers: a standard deviation over photos.

    Groups of one method family share a hue, the later ones darker: SP beside SP-G.

    Returns
    -------
    ``path``, a PNG.
    """
    names = [wrap(group.title, 15).replace(" · ", "\n") for group in groups]
    lines = max(name.count("\n") + 1 for name in names)
    panel = max(BAR * len(groups), 2.2) + PANEL_GAP
    figure = Figure(figsize=(panel * len(MEASURES), 3.4 + 0.14 * lines), layout="constrained")
    colors = _colors(groups)
    for index, measure in enumerate(MEASURES, start=1):
        axes = figure.add_subplot(1, len(MEASURES), index)
        _panel(axes, [group.spreads[measure].score.mean for group in groups],
               [group.spreads[measure].over_images for group in groups], colors)  # fmt: skip
        axes.set_title(PANELS[measure], fontsize=9.5)
        axes.set_xticks(range(len(groups)), names, fontsize=7)
    figure.suptitle(title, fontsize=11)
    figure.supxlabel("similarity of a photo's heatmaps, higher is better; whiskers: one standard "
                     "deviation over photos", fontsize=7.5, color="0.35")  # fmt: skip
    figure.savefig(path, dpi=DPI, facecolor="white")
    return path


def _panel(
    axes: Axes, means: Sequence[float], spreads: Sequence[float], colors: Sequence[str]
) -> None:
    places = range(len(means))
    heights = [0.0 if math.isnan(mean) else mean for mean in means]
    axes.bar(places, heights, color=colors, width=0.72, zorder=2)
    whiskers = [0.0 if math.isnan(spread) else spread for spread in spreads]
    axes.errorbar(
        places, heights, whiskers, fmt="none", ecolor="0.15", elinewidth=1, capsize=3, zorder=3
    )
    for place, mean, height, whisker in zip(places, means, heights, whiskers, strict=True):
        label = "undefined" if math.isnan(mean) else f"{mean:.2f}"
        top = max(height + whisker, 0)
        axes.annotate(
            label, (place, top), xytext=(0, 3), textcoords="offset points", ha="center", fontsize=7
        )
    low = min([0.0, *(h - w for h, w in zip(heights, whiskers, strict=True))])
    axes.set(ylim=(max(low * 1.1, -1.05), 1.15), xlim=(-0.6, len(means) - 0.4))
    axes.axhline(0, color="0.3", linewidth=0.8)
    axes.grid(axis="y", alpha=0.3, zorder=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", labelsize=8)


def _colors(groups: Sequence[Sensitivity]) -> list[str]:
    """Give each family a hue, and each of its groups a darker shade than the one before."""
    families = [group.family for group in groups]
    distinct = list(dict.fromkeys(families))
    colors = []
    for index, family in enumerate(families):
        lighter = families[index + 1 :].count(family)
        whiten = 0.45 * lighter / max(families.count(family) - 1, 1)
        red, green, blue = to_rgb(HUES[distinct.index(family) % len(HUES)])
        mixed = [channel * 0.85 * (1 - whiten) + whiten for channel in (red, green, blue)]
        colors.append(mpl.colors.to_hex((mixed[0], mixed[1], mixed[2])))
    return colors
