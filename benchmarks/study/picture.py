"""One figure of all claims: each difference with its interval, and the paper's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.study.claims import INPAINTERS, Claim

COLORS = {"mirror": "#0072b2", "lightfill": "#d55e00"}
COLUMNS = 3
LINE = 0.2  # inches for one claim
TICKS = 5  # at most so many steps, whose labels fit under a panel


def draw(claims: Sequence[Claim], path: Path) -> Path:
    """Draw a panel for each score, a line for each pair of methods and each inpainter.

    Returns
    -------
    ``path``, a PNG.
    """
    panels: dict[tuple[str, str], list[Claim]] = {}
    for claim in claims:
        panels.setdefault((claim.title, claim.found.score), []).append(claim)
    rows = -(-len(panels) // COLUMNS)
    most = max(len({_pair(claim) for claim in panel}) for panel in panels.values())
    figure = Figure(figsize=(11, rows * (0.9 + 2.2 * LINE * most)), layout="constrained")
    for index, ((title, score), panel) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(rows, COLUMNS, index)
        _panel(axes, panel)
        axes.set_title(f"{title}: {score}", fontsize=9)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    figure.savefig(path, dpi=130, facecolor="white")
    return path


def _panel(axes: Axes, claims: Sequence[Claim]) -> None:
    pairs = list(dict.fromkeys(map(_pair, claims)))
    for shift, inpainter in zip((-0.14, 0.14), INPAINTERS, strict=True):
        chosen = [claim for claim in claims if claim.inpainter == inpainter]
        gaps = [claim.found.difference for claim in chosen]
        axes.errorbar(
            [gap.mean for gap in gaps],
            [pairs.index(_pair(claim)) + shift for claim in chosen],
            xerr=[[gap.mean - gap.low for gap in gaps], [gap.high - gap.mean for gap in gaps]],
            fmt="o",
            markersize=4,
            color=COLORS[inpainter],
            label=f"here, with {inpainter}",
        )
    papers = {_pair(claim): claim.found.paper for claim in claims}
    axes.plot(
        list(papers.values()), range(len(pairs)), "kD", markersize=5, mfc="none", label="the paper"
    )
    axes.axvline(0, color="0.5", linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(pairs)), pairs, fontsize=7.5)
    axes.invert_yaxis()
    axes.margins(y=0.25)
    axes.locator_params(axis="x", nbins=TICKS)
    axes.tick_params(axis="x", labelsize=7.5)
    axes.spines[["top", "right"]].set_visible(False)


def _pair(claim: Claim) -> str:
    return f"{claim.found.first} − {claim.found.second}"
