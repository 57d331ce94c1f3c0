"""The library makes the same numbers as the command, and leaves everything as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import genattr
from genattr.run import experiment
from tests.contract.options import compose_config
from tests.toys import ToyNetwork

SIZE = 48
MODEL = {"input_size": SIZE, "threads": 1}
SMALL = {
    "sp": {"patch_size": 16, "stride": 16},
    "lime": {"n_samples": 24, "n_segments": 8},
    "mp": {"mask_size": 8, "steps": 3},
}


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo of noise that is no square."""
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("photos") / "noise.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder in which nothing may be written."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("method", SMALL)
def test_the_numbers_are_those_of_the_command(
    method: str, photo: Path, tmp_path: Path, elsewhere: Path
) -> None:
    keys = SMALL[method]
    cfg = compose_config(
        "dataset=folder", f"dataset.root={photo}", f"method={method}", "metric=[deletion,saliency]",
        "classifier=callable", "classifier.path=tests.toys:load_network",
        f"classifier.input_size={SIZE}", "tracking=none", f"store={tmp_path / 'store'}",
        "threads=1", *[f"method.{key}={value}" for key, value in keys.items()],
    )  # fmt: skip
    experiment.run(cfg, tmp_path / "run")
    (expected,) = genattr.load(tmp_path / "run")
    row = pd.read_parquet(tmp_path / "run" / "per_image.parquet").iloc[0]
    heatmap = genattr.explain(photo, ToyNetwork(), method=method, **MODEL, **keys)
    assert torch.equal(heatmap.values, expected.values)
    assert (heatmap.score, heatmap.target) == (expected.score, expected.target)
    scores = genattr.score(heatmap, ["deletion", "saliency"])
    assert scores["deletion/auc"] == row["deletion/auc"]
    assert scores["deletion/curve"] == row["deletion/curve"].tolist()
    assert scores["saliency/score"] == row["saliency/score"].tolist()
    assert list(elsewhere.iterdir()) == []
