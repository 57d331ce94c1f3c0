"""Whether the best of several runs leads by more than chance."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from genattr.analysis.statistics import paired
from genattr.results.finished import Member
from genattr.results.show import FEW
from genattr.results.summary import label


def undecided(members: Sequence[Member]) -> str:
    """Name the scores by which the best run does not lead the next one beyond chance.

    That is where the 95 % interval of the two runs' difference, photo by photo, contains 0. Empty
    where every score decides, and where photos are so few that ``show.caveats`` says so.
    """
    if min(member.summary.photos for member in members) < FEW:
        return ""
    scores = dict.fromkeys(name for member in members for name in member.summary.scores)
    names = [label(score) for score in scores if _is_open(members, score)]
    return f"{', '.join(names)}: the best run's lead is within chance" if names else ""


def _is_open(members: Sequence[Member], score: str) -> bool:
    scored = [member for member in members if score in member.summary.scores]
    if len(scored) < 2:
        return False
    sign = 1 if scored[0].summary.directions[score] == "lower" else -1
    best, following = sorted(scored, key=lambda one: sign * one.summary.scores[score].mean)[:2]
    both = pd.concat([_by_photo(one, score) for one in (best, following)], axis=1, join="inner")
    gap = paired(both.iloc[:, 0].tolist(), both.iloc[:, 1].tolist(), better="lower")
    return not (gap.high < 0 or gap.low > 0)


def _by_photo(member: Member, score: str) -> pd.Series:
    """Return a run's score of each photo: the mean over its targets."""
    return member.evaluated.groupby("image_id")[score].mean()
