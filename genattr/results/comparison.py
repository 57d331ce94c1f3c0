"""Outputs of a comparison of heatmaps: numbers, a table with one row per photo, bars."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genattr.analysis.sensitivity import Sensitivity
from genattr.analysis.similarity import MEASURES

TABLE = "sensitivity.parquet"
PICTURE = "sensitivity.png"


def metrics(groups: Sequence[Sensitivity]) -> dict[str, float]:
    """Return the means under flat names; several groups are distinguished by their titles."""
    if len(groups) == 1:
        return groups[0].means()
    flat: dict[str, float] = {}
    for group in groups:
        flat |= group.means(f"sensitivity/{_plain(group.title)}")
    return flat


def write(groups: Sequence[Sensitivity], folder: Path, *, title: str) -> list[Path]:
    """Write table and picture to a folder, and return the files."""
    import pandas as pd

    from genattr.plot.bars import similarity_bars

    table = folder / TABLE
    rows = [row for group in groups for row in group.rows()]
    pd.DataFrame(rows).to_parquet(table, index=False)
    over = ", ".join(dict.fromkeys(group.over for group in groups))
    picture = similarity_bars(groups, folder / PICTURE, title=f"{title}: similarity over {over}")
    return [table, picture]


def read(folder: Path) -> list[Sensitivity]:
    """Read the table that ``write`` put into a folder; empty if there is none."""
    if not (folder / TABLE).is_file():
        return []
    import pandas as pd

    table = pd.read_parquet(folder / TABLE)
    names = ["title", "over"]
    return [_group(rows.to_dict("records")) for _, rows in table.groupby(names, sort=False)]


def _group(rows: Sequence[Mapping[Any, Any]]) -> Sensitivity:
    columns = [f"{name}_pairs" for name in MEASURES]
    scores = [np.array([row[column] for column in columns], dtype=float).T for row in rows]
    return Sensitivity(
        title=rows[0]["title"],
        over=rows[0]["over"],
        values=list(rows[0]["values"]),
        photos=[(row["image_id"], int(row["target"])) for row in rows],
        similarities=np.stack(scores),
        family=rows[0]["family"],
    )


def _plain(title: str) -> str:
    """Replace the characters of a title that a metric's name may not contain."""
    return re.sub(r"[^\w.\- ]+", " ", title.replace(" · ", " ")).strip()
