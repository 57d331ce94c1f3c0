"""Collects tables and figures of sweeps and writes them as one page."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from genattr.analysis.sensitivity import Sensitivity
from genattr.classifier.labels import BY_COUNT, ClassNames
from genattr.errors import UserError
from genattr.files import FreeNames, write_text
from genattr.metric.base import Metric
from genattr.plot.bars import similarity_bars
from genattr.report import extremes, figures, slide, tabulate, values
from genattr.report.page import Figure, Section, markdown, render
from genattr.results import comparison, examples, groups
from genattr.results import summary as results
from genattr.results.find import Source
from genattr.results.finished import Member, records

STRIP_PHOTOS = 8
Draw = Callable[[Path], Path | None]


def make(
    sources: Sequence[Source], out: Path, *, notes: Sequence[str] = (), linked: bool = False
) -> Path:
    """Write ``report.html``, its tables as ``table.md``, and each figure in ``figures``.

    A picture that several sources have, such as that of a sliding patch, stands there once.

    Parameters
    ----------
    notes
        Stand at the top.
    linked
        The page has links to the folders of the sources.

    Returns
    -------
    The page.
    """
    (out / "figures").mkdir(parents=True, exist_ok=True)
    seen = set[str]()
    sections = [
        Section(
            _title(source),
            list(_tables(source)),
            [figure for figure in _figures(source, out) if _is_new(figure, seen)],
            [os.path.relpath(folder, out) for folder in source.folders] if linked else [],
        )
        for source in sources
    ]
    write_text(out / "table.md", markdown(sections, notes))
    return write_text(out / "report.html", render(sections, notes))


def _is_new(figure: Figure, seen: set[str]) -> bool:
    """Whether no figure so far has the same pixels; it counts as seen from now on."""
    content = sha256(figure.file.read_bytes()).hexdigest()
    is_new = content not in seen
    seen.add(content)
    return is_new


def _title(source: Source) -> str:
    first = source.members[0].summary
    name = first.table or first.experiment
    return source.name if name is None else f"{name} · {source.name}"


def _tables(source: Source) -> Iterator[tuple[str, list[pd.DataFrame], Sequence[str]]]:
    name = tabulate.chosen(source.members)
    if name is not None:
        made = tabulate.build(name, source.members)
        yield made.title, [made.lay_out(), made.compare()], made.notes
    if any(member.summary.scores for member in source.members):
        yield "All scores: means with 95 % intervals", [_scores(source.members)], []


def _scores(members: Sequence[Member]) -> pd.DataFrame:
    lines = []
    summaries = [member.summary for member in members]
    for summary, (name, subtitle) in zip(summaries, results.heads(summaries), strict=True):
        line = {"run": name, "settings": subtitle, "photos": str(summary.photos)}
        for name, score in summary.scores.items():
            count = results.counted(score, summary.photos)
            text = f"{score.mean:.3f} [{score.low:.3f}, {score.high:.3f}]{count}"
            line[results.headed(name, summary.directions)] = text.replace("nan", "–")
        lines.append(line)
    return pd.DataFrame(lines).fillna("–")


def _figures(source: Source, out: Path) -> Iterator[Figure]:
    parts = (_sensitivity, _strips, _curves, _labels, _slides, _extremes)
    names = FreeNames()
    for part in parts:
        for caption, draw in part(source):
            name = names.take(f"{source.name} {caption}")
            files = [draw(out / "figures" / f"{name}{kind}") for kind in (".png", ".pdf")]
            if files[0] is not None:
                yield Figure(caption, files[0])


def _sensitivity(source: Source) -> Iterator[tuple[str, Draw]]:
    """Yield bars of similarities, as the sweeps stored them or computed now, and grids of maps."""
    read = [group for folder in source.folders for group in comparison.read(folder)]
    groups = read or _compared(source.members)
    if groups:
        over = ", ".join(dict.fromkeys(group.over for group in groups))
        title = f"Similarity of a photo's heatmaps over {over}"
        yield title, lambda path: similarity_bars(groups, path, title=title)
    similar = values.similarities(groups)
    for grid in values.grids(source.members):
        yield grid.title, partial(values.draw, grid, similar)


def _compared(members: Sequence[Member]) -> list[Sensitivity]:
    try:
        return groups.compare_all(members)
    except UserError:
        return []


def _strips(source: Source) -> Iterator[tuple[str, Draw]]:
    folders = [m.folder for m in source.members if (m.folder / examples.FILE).is_file()]
    if folders:
        title = f"Photos and heatmaps, the first {STRIP_PHOTOS}"
        note = source.members[0].summary.note or ""
        yield (
            title,
            lambda path: examples.draw(
                folders, path, title=source.name, note=note, most=STRIP_PHOTOS
            ),
        )


def _curves(source: Source) -> Iterator[tuple[str, Draw]]:
    """Yield the curves of each metric that has one, on the photos that choose its threshold."""
    for key in _keys(source.members, "metric."):
        drawn = [line for line in (curve(member, key) for member in source.members) if line]
        if not drawn:
            continue
        metric, split, photos = drawn[0].metric, drawn[0].split, drawn[0].photos
        title = f"{metric.axis_label.capitalize()} over the threshold"
        draw = partial(
            figures.threshold_curves,
            [line.curve for line in drawn],
            ylabel=f"{metric.axis_label} {results.ARROWS[metric.direction]}",
            title=title,
            note=f"{split}, n = {photos}",
        )
        yield title, draw


class Drawn(NamedTuple):
    """A curve with its metric, and the split and number of the photos that it averages over."""

    metric: Metric
    curve: figures.Curve
    split: str
    photos: int


def curve(member: Member, key: str) -> Drawn | None:
    """Return a metric's means over the thresholds; None if it has no thresholds or a mean is NaN.

    If there are held-out photos, the means are over them, because alpha is chosen on them.
    """
    metric = member.rebuilt(key, Metric)
    if metric is None or not metric.thresholds:
        return None
    table = member.table
    is_held_out = table["split"] == "held_out"
    split = "held-out photos" if is_held_out.any() else "evaluated photos"
    rows = records(table[is_held_out] if is_held_out.any() else table)
    name = key.removeprefix("metric.")
    means = metric.curve(results.rows_of_metric(rows, name))
    if pd.isna(means).any():
        return None
    summary = member.summary
    shape = figures.Curve(
        summary.name, summary.family, summary.is_generative, metric.thresholds, means
    )
    return Drawn(metric, shape, split, results.photos_on_curve(metric, name, rows))


def _keys(members: Sequence[Member], start: str) -> list[str]:
    """Return the keys of the members' components that are ``start`` and one name."""
    keys = dict.fromkeys(key for member in members for key in member.summary.parts)
    return [key for key in keys if key.startswith(start) and key.count(".") == start.count(".")]


def _labels(source: Source) -> Iterator[tuple[str, Draw]]:
    """Yield a histogram for each metric that counts classes."""
    for key in _keys(source.members, "metric."):
        counts = {
            f"filled by {member.filler}": counted
            for member in source.members
            if (counted := _counted(member, key))
        }
        if counts:
            title = "What the classifier takes the samples for"
            yield title, partial(figures.label_histogram, counts, title=title)


def _counted(member: Member, key: str) -> list[tuple[str, int]]:
    metric = member.rebuilt(key, Metric)
    rows = results.rows_of_metric(records(member.evaluated), key.removeprefix("metric."))
    pairs = metric.histogram(rows) if metric is not None else []
    if not pairs:
        return []
    names = _class_names(member, 1 + max(label for label, _ in pairs))
    return [(names.get(label, f"class {label}"), count) for label, count in pairs]


def _class_names(member: Member, least: int) -> Mapping[int, str]:
    """Return the names of a member's classes, if the project ships them."""
    labels = member.config.get("classifier.labels", "")
    count = {name: count for count, name in BY_COUNT.items()}.get(labels, 0)
    return dict(enumerate(ClassNames(labels, lambda: count))) if count >= least else {}


def _slides(source: Source) -> Iterator[tuple[str, Draw]]:
    for group in slide.groups(source.members):
        for photo in slide.chosen(group):
            title = f"A patch slides over {photo.image_id}: {group[0].summary.settings}"
            yield title, partial(slide.draw, group, photo, title=title)


def _extremes(source: Source) -> Iterator[tuple[str, Draw]]:
    for contrast in extremes.contrasts(source.members):
        gains = contrast.gains()
        won = [target for target, gain in gains.items() if gain > 0][: extremes.MOST]
        lost = [target for target, gain in reversed(gains.items()) if gain < 0][: extremes.MOST]
        for word, chosen in (("wins", won), ("loses", lost)):
            title = f"{contrast.name}: where {contrast.generative.method} {word} most"
            if chosen:
                yield title, partial(extremes.draw, contrast, chosen, title=title)
