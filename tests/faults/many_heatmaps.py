"""Looks up heatmaps in a store, makes those that are not there, and scores all.

python -m tests.faults.many_heatmaps STORE NUMBER COUNT
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from genattr.store.heatmaps import HeatmapStore, Key
from genattr.store.scores import ScoreStore
from tests.store.test_heatmaps import heatmap, same


def key_of(index: int) -> Key:
    """Return the key of a heatmap."""
    return Key.of({"version": 1, "index": index})


def score_of(number: str, index: int) -> dict[Key, dict[str, float]]:
    """Return the score that a process computes of a heatmap."""
    return {Key.of(["score", number, index]): {"value": index / 7}}


def main() -> None:
    root, number, count = sys.argv[1:]
    heatmaps, scores = HeatmapStore(Path(root)), ScoreStore(Path(root))
    order = list(range(int(count)))
    random.Random(int(number) // 2).shuffle(order)  # always two do the same at the same time
    for index in order:
        key = key_of(index)
        found = heatmaps.get(key)
        if found is None:
            heatmaps.put(key, heatmap(index))
        else:
            assert same(found, heatmap(index)), index
        scores.put(key, score_of(number, index))


if __name__ == "__main__":
    main()
