"""Finished runs at the terminal: scores, similarities, and what a reader should know of them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from genattr.analysis.sensitivity import Sensitivity
from genattr.analysis.similarity import MEASURES
from genattr.analysis.statistics import Estimate
from genattr.console import console, say
from genattr.results.summary import Summary, label

ARROWS = {"lower": "↓", "higher": "↑"}


def show_scores(summaries: Sequence[Summary]) -> None:
    """Print one row a run: means with 95 % intervals; which way is better stands in the head."""
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("\nrun", overflow="fold")
    names = list(dict.fromkeys(name for summary in summaries for name in summary.scores))
    directions = {name: way for summary in summaries for name, way in summary.directions.items()}
    for name in names:
        head = f"{label(name)} {ARROWS[directions[name]]}".replace(" ", "\n", 1)
        table.add_column(Text(head), justify="right", no_wrap=True)
    for head in ("\nphotos", "seconds\na heatmap"):
        table.add_column(head, justify="right", no_wrap=True)
    for summary in summaries:
        cells = [_cell(summary.scores.get(name)) for name in names]
        seconds = f"{summary.values['seconds_per_heatmap']:.2f}"
        run = Text.assemble(f"{summary.title}\n", (summary.subtitle, "dim"))
        table.add_row(run, *cells, str(summary.photos), seconds)
    console.print(table)


def show_similarities(groups: Sequence[Sensitivity]) -> None:
    """Print how alike heatmaps under several values are: a row a group, a column a measure."""
    for over in dict.fromkeys(group.over for group in groups):
        table = Table(show_edge=False, pad_edge=False)
        table.add_column(f"similarity over {over}", overflow="fold")
        for measure in MEASURES:
            table.add_column(f"{measure} ↑", justify="right", no_wrap=True)
        table.add_column("spread over photos, pairs", justify="right", no_wrap=True)
        for group in (group for group in groups if group.over == over):
            spreads = group.spreads
            name = Text.assemble(f"{group.title}\n", (", ".join(group.values), "dim"))
            told = "\n".join(
                f"{key} {one.over_images:.2f}, {one.over_pairs:.2f}".replace("nan", "–")
                for key, one in spreads.items()
            )
            table.add_row(name, *(_cell(one.score) for one in spreads.values()), told)
        console.print(table)
    for group in groups:
        for measure, one in group.spreads.items():
            if one.undefined_pairs:
                pairs = f"{one.undefined_pairs} of {one.pairs} pairs have a constant map"
                say(f"Undefined:     {measure}: {pairs}, {group.title}")


def tell_caveats(summaries: Sequence[Summary]) -> None:
    """Name thresholds that no held-out photos chose, counts of fillers, and unreadable photos."""
    fixed = {f"{name} {alpha:g}" for one in summaries for name, alpha in one.fixed_alphas.items()}
    if fixed:
        named = ", ".join(sorted(fixed))
        say(f"Fixed alpha:   {named}; selection.held_out=N would choose it on N other photos")
    for one in summaries:
        for name, count in one.values.items():
            if name.startswith("filler/") and count:
                fills = f"{count:.0f} of {one.values['filler_calls']:.0f} fills"
                what = name.removeprefix("filler/").replace("_", " ")
                say(f"Filler:        {what}: {fills} of {one.title}")
    for line in dict.fromkeys(line for summary in summaries for line in summary.failed):
        say(f"Skipped:       {line}")


def _cell(score: Estimate | None) -> str:
    if score is None or score.n == 0:
        return "–"
    if score.low != score.low:
        return f"{score.mean:.3f}"
    return f"{score.mean:.3f}\n\\[{score.low:.2f}, {score.high:.2f}]"
