"""Bars of similarity: heights, whiskers and colors as they stand in the figure."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from PIL import Image

from genattr.analysis.sensitivity import Sensitivity
from genattr.plot import bars


def group(title: str, mean: float, family: str = "SP") -> Sensitivity:
    scores = np.stack([np.full((3, 3), mean - 0.1), np.full((3, 3), mean + 0.1)])
    photos = [("a", 0), ("b", 1)]
    return Sensitivity(title, "patch_size", ["5", "17", "29"], photos, scores, family)


GROUPS = [
    group("SP · gray", 0.3, "SP"),
    group("LIME · gray", 0.5, "LIME"),
    group("SP-G · mirror", 0.7, "SP"),
]


def test_bars_and_whiskers_have_the_heights_of_the_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[float] = []
    whiskers: list[float] = []
    bar, errorbar = Axes.bar, Axes.errorbar
    monkeypatch.setattr(Axes, "bar", lambda *a, **k: (drawn.extend(a[2]), bar(*a, **k))[1])
    monkeypatch.setattr(
        Axes, "errorbar", lambda *a, **k: (whiskers.extend(a[3]), errorbar(*a, **k))[1]
    )
    undefined = group("SP · blur", math.nan)
    path = bars.similarity_bars([*GROUPS, undefined], tmp_path / "bars.png", title="a title")
    assert drawn == pytest.approx([0.3, 0.5, 0.7, 0] * 3)
    assert whiskers == pytest.approx([*[0.1 * math.sqrt(2)] * 3, 0] * 3)
    width, height = Image.open(path).size
    assert 2 < width / height < 5


def test_a_family_has_one_hue_and_its_g_method_is_darker() -> None:
    colors = [to_rgb(color) for color in bars._colors(GROUPS)]
    assert sum(colors[2]) < sum(colors[0])
    ratios = [(1 - np.array(color)) / (1 - np.array(color)).max() for color in colors]
    assert ratios[0].argmax() == ratios[2].argmax() != ratios[1].argmax()
