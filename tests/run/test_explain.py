"""Another quantity than the probability: what methods optimize and maps hold; metrics stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import genattr
from genattr.errors import UserError
from genattr.method.fido import Fido
from genattr.method.lime import Lime
from genattr.method.mp import MP
from genattr.method.mp2 import MP2
from genattr.method.sp import SlidingPatch
from genattr.results.summary import load_summary
from genattr.run import experiment
from genattr.segmentation.slic import Slic
from genattr.types import RectangleHoles
from tests.conftest import linear_probe
from tests.contract.options import small

TOY = [
    "classifier=callable", "classifier.path=tests.toys:load_network", "classifier.input_size=48",
    "target=predicted", "metric=[deletion]", "filler=gray",
]  # fmt: skip


def drop(size: int, patch: int) -> RectangleHoles:
    starts = range(0, size - patch + 1, patch)
    boxes = [[x, y, x + patch, y + patch] for y in starts for x in starts]
    return RectangleHoles(torch.tensor(boxes), size)


@pytest.mark.parametrize("explain", ["logit", "log_odds"])
def test_a_map_of_a_linear_logit_is_its_weights(explain: str) -> None:
    """The toy's logit of class 0 is 0, so that both quantities are the weighted sum of pixels."""
    probe = linear_probe(size=12, explain=explain)
    weights = probe.classifier.weights
    heatmap = SlidingPatch(4, 4, "stretch", "full", 0, 1, False).explain(probe)
    mass = (weights * probe.image).sum(dim=0)
    expected = mass.view(3, 4, 3, 4).sum(dim=(1, 3))
    assert torch.allclose(heatmap.values, expected, atol=1e-4)
    assert heatmap.value_range == (-float("inf"), float("inf"))
    total = float(mass.sum())
    assert heatmap.details["explained"] == pytest.approx(total, abs=1e-4)
    assert heatmap.score == pytest.approx(1 / (1 + np.exp(-total)), abs=1e-6)


def test_metrics_see_the_probability() -> None:
    probe = linear_probe(explain="logit")
    holes = drop(12, 4)
    plain = linear_probe()
    assert probe.of_probability().original == probe.original_probability == plain.original
    assert torch.equal(probe.of_probability().score(holes), plain.score(holes))
    assert not torch.allclose(probe.score(holes), plain.score(holes))
    assert plain.of_probability() is plain


METHODS = {
    "lime": Lime(8, 16, 10, 0, "l2_image", "ridge", False, Slic()),
    "mp": MP(4, 3, 0.1, 0.01, 0.2, 0, 1, "bilinear", "deletion", False, 1, False),
    "mp2": MP2(4, 2, 0.0, 3, "mask_gradient", None, "order", 1, False),
    "fido": Fido(4, 3, 2, 0.1, 0.01, 0.1, "preservation", 1, False),
}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_takes_the_quantity(name: str) -> None:
    maps = [METHODS[name].explain(linear_probe(explain=e)) for e in ("probability", "log_odds")]
    twin = METHODS[name].explain(linear_probe(explain="logit"))
    assert torch.allclose(maps[1].values, twin.values, atol=1e-5)
    assert maps[0].score == maps[1].score
    if name in ("lime", "mp"):
        assert not torch.allclose(maps[0].values, maps[1].values, atol=1e-3)
    else:  # these two follow the log-odds, as the paper and the original do
        assert torch.equal(maps[0].values, maps[1].values)


def test_a_run_keeps_the_quantities_apart(tmp_path: Path) -> None:
    rows = {}
    for explain in ("probability", "logit", "log_odds"):
        cfg = small(tmp_path, *TOY, f"explain={explain}", "method=sp", "method.patch_size=16")
        summary = experiment.run(cfg, tmp_path / explain)
        rows[explain] = pd.read_parquet(tmp_path / explain / "per_image.parquet").iloc[0]
        assert load_summary(tmp_path / explain).explain == summary.explain == explain
    assert len({row["score"] for row in rows.values()}) == 1
    assert "method/explained" not in rows["probability"]
    p = rows["log_odds"]["score"]
    odds = rows["log_odds"]["method/explained"]
    assert odds == pytest.approx(np.log(p / (1 - p)), rel=1e-3)
    values = [next(iter(genattr.load(tmp_path / explain))).values for explain in rows]
    assert not torch.allclose(values[0], values[1])
    assert len(list((tmp_path / "heatmaps").rglob("*.npz"))) == 3


def test_probabilities_have_no_logits(tmp_path: Path) -> None:
    cfg = small(
        tmp_path, "classifier=callable", "classifier.path=tests.toys:shares", "explain=logit",
        "classifier.outputs=probabilities", "target=predicted",
    )  # fmt: skip
    with pytest.raises(UserError, match=r"^explain=logit: .* no logits: try explain=log_odds$"):
        experiment.run(cfg, tmp_path / "run")
