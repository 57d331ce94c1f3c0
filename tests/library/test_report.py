"""The page about a decision, from Python."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import genattr
from genattr.library.call import call_of
from tests.report.test_decision import Resources
from tests.toys import ToyNetwork

KEYS = {"input_size": 48, "threads": 1, "patch_size": 16, "stride": 16}


@pytest.fixture(scope="module")
def heatmap(tmp_path_factory: pytest.TempPathFactory) -> genattr.Heatmap:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("photos") / "noise.png"
    Image.fromarray(pixels).save(path)
    filler = genattr.component("filler/mirror", sigma=6)
    return genattr.explain(path, ToyNetwork(), target=3, filler=filler, **KEYS)


def test_it_tells_the_call_and_the_heatmaps_own_numbers(
    heatmap: genattr.Heatmap, tmp_path: Path
) -> None:
    page = heatmap.report(tmp_path / "decision.html")
    text = Resources(page.read_text()).text
    for part in (
        "model=ToyNetwork, target=3, method='sp-g'",
        'filler=genattr.component("filler/mirror", sigma=6), input_size=48',
        "noise.png", f"{100 * heatmap.score:.1f}", "sigma 6",
    ):  # fmt: skip
        assert part in text


def test_a_wrong_place_is_told_in_one_line(heatmap: genattr.Heatmap, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must end in .html"):
        heatmap.report(tmp_path / "decision.pdf")
    with pytest.raises(ValueError, match="there is no folder"):
        heatmap.report(tmp_path / "none" / "decision.html")
    with pytest.raises(ValueError, match="explain again"):
        pickle.loads(pickle.dumps(heatmap)).report(tmp_path / "decision.html")


def test_a_call_names_what_has_no_text() -> None:
    image = np.zeros((2, 2, 3))
    told = call_of(image, {"model": ToyNetwork(), "labels": ["a"] * 99, "seed": 1})
    assert told == "genattr.explain(image, model=ToyNetwork, labels=..., seed=1)"
