"""What the paper does not ask: noise, who judges, fillers that select, what moves stability."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from benchmarks.study.judges import COLUMNS, agreement
from benchmarks.study.merge import at_thresholds_of
from benchmarks.study.plan import counterparts, held, rows
from genattr.analysis.statistics import Difference, Direction, estimate, paired
from genattr.report import paper, tabulate
from genattr.report.table import interval, signed, signed_interval
from genattr.results.finished import Member

FILLERS = "fillers.parquet"  # what benchmarks.selectivity wrote
R_OMS = "r_oms/auc"


@dataclass(frozen=True)
class Score:
    """A column of the rows' tables.

    Attributes
    ----------
    name
        For people.
    better
        Which values win.
    """

    name: str
    better: Direction


SCORES: Mapping[str, Score] = {
    "localization/error": Score("localization error", "lower"),
    "deletion/auc": Score("deletion", "lower"),
    "insertion/auc": Score("insertion", "higher"),
    "saliency/score": Score("saliency", "lower"),
    "srg/gain": Score("SRG", "higher"),
}


def gap(first: Path, second: Path, column: str, better: Direction) -> Difference | None:
    """Compare two rows on the photos that both have; None where there are fewer than two."""
    return _compared(*_scores((first, second), column), better)


def _scores(pair: tuple[Path, Path], column: str) -> list[tabulate.Scores]:
    return [tabulate.scores(Member(row), column) for row in pair]


def _compared(
    scores: tabulate.Scores, others: tabulate.Scores, better: Direction
) -> Difference | None:
    sides = tabulate.on_common_photos(scores, others)
    return paired(*sides, better=better) if len(sides[0]) > 1 else None


def _apart(scores: tabulate.Scores, others: tabulate.Scores) -> dict[str, float]:
    """Return first minus second by photo, of those that have both."""
    return {photo: value - others[photo] for photo, value in scores.items() if photo in others}


def told(found: Difference) -> str:
    """Write a difference with its interval."""
    return f"{signed(found.mean)} {signed_interval(found.low, found.high)}"


def averaged(scores: Sequence[float]) -> str:
    """Write a mean with its interval; empty where no score is defined."""
    found = estimate(scores)
    return f"{found.mean:.3f} {interval(found.low, found.high)}" if found.n else ""


def counted(found: Difference | None) -> str:
    """Write a difference with its interval and its count of photos; empty where there is none."""
    return f"{told(found)}, n = {found.n}" if found is not None and found.n else ""


def gaps(
    pairs: Mapping[str, tuple[Path | None, Path | None]], columns: Mapping[str, Score]
) -> pd.DataFrame:
    """Return a line for each pair of rows that are both there, first minus second."""
    lines = {
        name: [counted(gap(one, other, column, score.better)) for column, score in columns.items()]
        for name, (one, other) in pairs.items()
        if one and other
    }
    heads = [score.name for score in columns.values()]
    return _with_values(pd.DataFrame.from_dict(lines, orient="index", columns=heads))


def explains_and_judges(found: Path) -> pd.DataFrame:
    """Return LIME-G less LIME by each filler that judges."""
    of_main = rows(found, "main")
    lines = []
    for metric, judges in COLUMNS.items():
        better: Direction = "lower" if metric == "deletion" else "higher"
        for inpainter in ("mirror", "lightfill"):
            pair = [of_main.get(name) for name in (f"LIME-G {inpainter}", "LIME")]
            if None in pair:
                continue
            cells = {
                judge: counted(gap(pair[0], pair[1], column, better))
                for judge, column in judges.items()
            }
            lines.append({"": f"{metric}, LIME-G with {inpainter} − LIME"} | cells)
    return pd.DataFrame(lines).set_index("") if lines else pd.DataFrame()


def blurred(found: Path) -> str:
    """Return what a whole blurred photo keeps of its class's probability; empty if not computed."""
    row = rows(found, "sec42").get("blur")
    if row is None:
        return ""
    scores = tabulate.scores(Member(row), "remains/probability")
    return f"{_mean(scores, list(scores))}, n = {len(scores)},"


def noise(found: Path) -> pd.DataFrame:
    """Return how far figures move where each pixel moves by 1e-6: of the mean, and of a photo."""
    plain, lines = rows(found, "main"), {}
    for name, row in rows(found, "noise").items():
        if name in plain:
            moved = at_thresholds_of(plain[name], row).set_index("image_id")
            moves = [_moves(moved, plain[name], column) for column in SCORES]
            lines[name] = [*moves, str(len(moved))]
    heads = [*(score.name for score in SCORES.values()), "n"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=heads)


def _moves(moved: pd.DataFrame, plain: Path, column: str) -> str:
    if column not in moved:
        return ""
    others = tabulate.scores(Member(plain), column)
    moves = np.array(list(_apart(moved[column].to_dict(), others).values()))
    moves = moves[~np.isnan(moves)]
    if not len(moves):
        return ""
    mean = round(float(moves.mean()), 4) + 0.0  # no "-0.0000"
    return f"{mean:+.4f} ({np.abs(moves).mean():.4f})"


def selective(found: Path) -> pd.DataFrame:
    """Return by filler what stays of photos, and how good LIME's heatmaps are with it."""
    lines = pd.DataFrame()
    if (found / FILLERS).is_file():
        stays = pd.read_parquet(found / FILLERS).groupby("filler", sort=False)
        lines = stays[["object", "background", "gap"]].mean()
    for name, row in rows(found, "r_oms").items():
        lines.loc[name.replace(" ", "_"), "R-OMS"] = estimate(_of(row, R_OMS)).mean
    common = _common(rows(found, "selectivity").values())
    for name, row in rows(found, "selectivity").items():
        for column, score in SCORES.items():
            values = tabulate.scores(Member(row), column)
            if values:
                mean = estimate([values[photo] for photo in common]).mean
                lines.loc[name.replace(" ", "_"), f"LIME's {score.name}"] = mean
    lines.attrs["photos"] = len(common)
    return lines


def _of(row: Path, column: str) -> list[float]:
    return list(tabulate.scores(Member(row), column).values())


def _common(folders: Sequence[Path] | Iterator[Path]) -> list[str]:
    """Return the photos that all rows have."""
    names = [{photo for photo, _ in Member(row).photos} for row in folders]
    return sorted(set.intersection(*names)) if names else []


def predicts(lines: pd.DataFrame, by: str) -> dict[str, float]:
    """Return Spearman's correlation, over the fillers, of one column with each of LIME's scores."""
    scored = [column for column in lines.columns if column.startswith("LIME's ")]
    return {
        column: float(spearmanr(lines[by], lines[column], nan_policy="omit").statistic)
        for column in scored
        if lines[[by, column]].notna().all(axis=1).sum() > 3
    }


def reliable(found: Path, judged: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return by filler that judges its R-OMS, and its mean tau with the other fillers.

    Parameters
    ----------
    judged
        Of ``judges.means``.
    """
    lines = pd.DataFrame(index=list(next(iter(COLUMNS.values()))), dtype=float)
    for name, row in rows(found, "r_oms").items():
        if name in lines.index:
            lines.loc[name, "R-OMS"] = estimate(_of(row, R_OMS)).mean
    for metric, scores in judged.items():
        taus = agreement(scores) if len(scores) > 1 else {}
        for name in lines.index if taus else ():
            lines.loc[name, metric] = np.mean([tau for pair, tau in taus.items() if name in pair])
    return lines


def search(found: Path) -> pd.DataFrame:
    """Return the similarity over patch sizes by adaptive search, less that by full search."""
    of_sam, searched = rows(found, "sam"), rows(found, "sam_search")
    pairs = {
        "SP": (of_sam.get("SP lightfill"), of_sam.get("SP")),
        "SP-G mirror": (searched.get("SP-G mirror"), of_sam.get("SP-G mirror")),
    }
    return gaps(pairs, _similarities())


def larger_masks(found: Path) -> pd.DataFrame:
    """Return the similarity over masks of 28, 56 and 112 cells, less that of 28 and 56 alone."""
    of_sam, three = rows(found, "sam"), rows(found, "sam_112")
    return gaps({name: (row, of_sam.get(name)) for name, row in three.items()}, _similarities())


def _similarities() -> Mapping[str, Score]:
    """Return the columns of Tables S1 and S2."""
    columns = paper.table("tableS1_sam").columns.items()
    return {place.score: Score(name, place.better) for name, place in columns}


def networks(found: Path) -> pd.DataFrame:
    """Return G method less gray, with the second network, less the same with the first.

    On the photos that all four rows have, which both networks get right.
    """
    either = [rows(found, group) for group in ("lite2", "main")]
    lines = {}
    for name, plain in counterparts(either[0]).items():
        if {name, plain} <= either[1].keys():
            lines[f"{name} − {plain}"] = [
                counted(_changed(either, name, plain, column, score.better))
                for column, score in SCORES.items()
            ]
    heads = [score.name for score in SCORES.values()]
    return _with_values(pd.DataFrame.from_dict(lines, orient="index", columns=heads))


def _changed(
    either: Sequence[Mapping[str, Path]], name: str, plain: str, column: str, better: Direction
) -> Difference | None:
    apart = (_apart(*_scores((network[name], network[plain]), column)) for network in either)
    return _compared(*apart, better)


def ranking(found: Path) -> pd.DataFrame:
    """Return MP2-G by the image gradient less MP2-G by blur."""
    of_group = rows(found, "ranking")
    pair = (of_group.get("image gradient"), of_group.get("blur"))
    return gaps({"image gradient − blur": pair}, SCORES)


def budget(found: Path) -> pd.DataFrame:
    """Return the mean scores of methods that may score about 500 images a heatmap."""
    of_group = _at_budget(found)
    common = _common(of_group.values())
    lines = {}
    for name, row in of_group.items():
        member = Member(row)
        cells = [_mean(tabulate.scores(member, column), common) for column in SCORES]
        images = member.evaluated[["n_scored", "n_filled"]].mean()
        lines[name] = [*cells, f"{images['n_scored']:.0f}", f"{images['n_filled']:.0f}"]
    heads = [score.name for score in SCORES.values()]
    frame = pd.DataFrame.from_dict(lines, orient="index", columns=[*heads, "scored", "filled"])
    frame = _with_values(frame)
    frame.attrs["photos"] = len(common)
    return frame


def best_at_budget(found: Path) -> pd.DataFrame:
    """Return by score the method with the best mean, and how far the next is from it."""
    of_group = _at_budget(found)
    common = _common(of_group.values())
    lines = {}
    for column, score in SCORES.items():
        scores = {name: tabulate.scores(Member(row), column) for name, row in of_group.items()}
        means = {
            name: np.nanmean([of[photo] for photo in common]) for name, of in scores.items() if of
        }
        order = sorted(means, key=means.__getitem__, reverse=score.better == "higher")
        best = [name for name in order if means[name] == means[order[0]]]
        others = order[len(best) :]
        if others:
            ahead = gap(of_group[best[0]], of_group[others[0]], column, score.better)
            lines[score.name] = [", ".join(best), others[0], counted(ahead)]
        elif best:
            lines[score.name] = ["all alike", "", ""]
    return pd.DataFrame.from_dict(lines, orient="index", columns=["best", "next", "best − next"])


def _at_budget(found: Path) -> dict[str, Path]:
    budgets = rows(found, "budget").items()
    return {name: row for name, row in budgets if held(row, "evaluation")}


def _with_values(frame: pd.DataFrame) -> pd.DataFrame:
    """Leave out columns without a value."""
    return frame.loc[:, (frame != "").any()]


def _mean(scores: Mapping[str, float], photos: Sequence[str]) -> str:
    return averaged([scores[photo] for photo in photos]) if scores else ""
