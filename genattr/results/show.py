"""Finished runs at the terminal: scores, similarities and caveats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from genattr.analysis.sensitivity import Sensitivity
from genattr.analysis.similarity import MEASURES
from genattr.analysis.statistics import Estimate
from genattr.console import console, say
from genattr.results.summary import Summary, counted, headed, heads

FEW = 30  # photos: means of fewer rank methods only by luck


def show_scores(summaries: Sequence[Summary]) -> None:
    """Print one row per run: means with 95 % intervals; an arrow in the head points to better.

    A score that is not of all the run's photos tells of how many: "0.500 (1 of 2)".
    """
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("\nrun", overflow="fold")
    names = list(dict.fromkeys(name for summary in summaries for name in summary.scores))
    directions = {name: way for summary in summaries for name, way in summary.directions.items()}
    for name in names:
        head = headed(name, directions).replace(" ", "\n", 1)
        table.add_column(Text(head), justify="right", no_wrap=True)
    for head in ("\nphotos", "seconds\na heatmap"):
        table.add_column(head, justify="right", no_wrap=True)
    for summary, (name, subtitle) in zip(summaries, heads(summaries), strict=True):
        cells = [_cell(summary.scores.get(name), summary.photos) for name in names]
        seconds = f"{summary.values['seconds_per_heatmap']:.2f}"
        run = Text.assemble(f"{name}\n", (subtitle, "dim"))
        table.add_row(run, *cells, str(summary.photos), seconds)
    console.print(table)


def show_similarities(groups: Sequence[Sensitivity]) -> None:
    """Print similarities of heatmaps under several values: rows are groups, columns measures."""
    for over in dict.fromkeys(group.over for group in groups):
        table = Table(show_edge=False, pad_edge=False)
        table.add_column(f"similarity over {over}", overflow="fold")
        for measure in MEASURES:
            table.add_column(f"{measure} ↑", justify="right", no_wrap=True)
        table.add_column("spread over photos, pairs", justify="right", no_wrap=True)
        for group in (group for group in groups if group.over == over):
            spreads = group.spreads
            name = Text.assemble(f"{group.title}\n", (", ".join(group.values), "dim"))
            lines = "\n".join(
                f"{key} {spread.over_images:.2f}, {spread.over_pairs:.2f}".replace("nan", "–")
                for key, spread in spreads.items()
            )
            table.add_row(name, *(_cell(spread.score) for spread in spreads.values()), lines)
        console.print(table)
    for group in groups:
        for measure, spread in group.spreads.items():
            if spread.undefined_pairs:
                pairs = f"{spread.undefined_pairs} of {spread.pairs} pairs have a constant map"
                say(f"Undefined:     {measure}: {pairs}, {group.title}")


def show_caveats(summaries: Sequence[Summary]) -> None:
    """Print what a reader of the scores should know, as ``caveats`` does."""
    for head, text in caveats(summaries):
        say(f"{head + ':':<14} {text}")


def caveats(summaries: Sequence[Summary]) -> Iterator[tuple[str, str]]:
    """Yield a word and a sentence for whatever a reader of the scores should know.

    Too few photos to decide anything, thresholds not chosen on held-out photos, fillers' counts
    and unreadable photos.
    """
    photos = min(summary.photos for summary in summaries)
    if photos < FEW and any(summary.scores for summary in summaries):
        decide = f"{photos} photo decides" if photos == 1 else f"{photos} photos decide"
        yield "Few photos", f"{decide} nothing about methods; docs/results.md has the study"
    fixed = {
        f"{name} {alpha:g}" for summary in summaries for name, alpha in summary.fixed_alphas.items()
    }
    if fixed:
        named = ", ".join(sorted(fixed))
        yield "Fixed alpha", f"{named}; selection.held_out=N would choose it on N other photos"
    for summary in summaries:
        for name, count in summary.values.items():
            if name.startswith("filler/") and count:
                fills = f"{count:.0f} of {summary.values['filler_calls']:.0f} fills"
                event = name.removeprefix("filler/").replace("_", " ")
                yield "Filler", f"{event}: {fills} of {summary.name}"
    for line in dict.fromkeys(line for summary in summaries for line in summary.failed):
        yield "Skipped", line


def _cell(score: Estimate | None, photos: int | None = None) -> str:
    """Write a mean with its interval, and of how many photos it is, if not of all."""
    if score is None:
        return "–"
    count = "" if photos is None else counted(score, photos)
    if score.n == 0:
        return f"–{count}"
    if score.low != score.low:
        return f"{score.mean:.3f}{count}"
    return f"{score.mean:.3f}{count}\n\\[{score.low:.2f}, {score.high:.2f}]"
