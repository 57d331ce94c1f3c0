"""What a user's own options say of themselves is enough: in comparisons, tables and reports."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

import genattr
from genattr.__main__ import main
from genattr.report import build, tabulate
from genattr.results import comparison, examples
from genattr.results.finished import finished
from genattr.results.summary import load_summary
from tests.sweep.test_lifecycle import SMALL, command, places

SENSITIVITY = "over: stride\nvalues: [40, 60]\n"
METRIC = """
tightness:
  _target_: my_metrics.Tightness
  alpha: 0.5
  component: all
"""
FILLER = "_target_: my_metrics.Median\n"
CODE = '''
from dataclasses import dataclass
from typing import ClassVar

from genattr.filler.base import PlainFiller
from genattr.metric.thresholds import ThresholdMetric, boxes_at_alphas, stack


@dataclass(frozen=True)
class Tightness(ThresholdMetric):
    """Share of the image that the box at a threshold covers."""

    name: ClassVar[str] = "share"
    axis_label: ClassVar[str] = "share of the image in the box"

    def per_image(self, heatmap, probe):
        boxes = boxes_at_alphas(heatmap.to_image(probe.size), self.component).double()
        area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1) / probe.size**2
        return {"shares": area.tolist()}

    def losses(self, rows):
        return stack(rows, "shares")


@dataclass(frozen=True)
class Median(PlainFiller):
    """One color; no inpainting."""

    def fill(self, images, hole, seeds):
        return images.flatten(2).median(dim=2).values[:, :, None, None].expand_as(images)
'''


@pytest.fixture
def swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sweep over a key that only the user's own option knows, with their metric and filler."""
    for group, name, text in (
        ("sensitivity", "stride", SENSITIVITY),
        ("metric", "tightness", METRIC),
        ("filler", "median", FILLER),
    ):
        (tmp_path / "conf" / group).mkdir(parents=True)
        (tmp_path / "conf" / group / f"{name}.yaml").write_text(text)
    (tmp_path / "my_metrics.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    words = ["run.py", "-m", "--config-dir", str(tmp_path / "conf"), "method=sp", "filler=median"]
    words += [*SMALL, "method.stride=40,60", "metric=[tightness]", "table=table1_fillers"]
    monkeypatch.setattr(sys, "argv", [*words, *places(tmp_path)])
    GlobalHydra.instance().clear()
    main()
    return tmp_path / "sweep"


def test_options_of_a_users_own_are_compared_tabulated_and_reported(swept: Path) -> None:
    members = finished(swept)
    (compared,) = comparison.read(swept)
    assert (compared.over, list(compared.values)) == ("stride", ["40", "60"])
    drawn = build.curve(members[0], "metric.tightness")
    assert drawn is not None
    assert drawn.metric.axis_label == "share of the image in the box"
    assert (drawn.curve.means <= 1).all()
    places_of = {
        cell.column for cell in tabulate.build("table1_fillers", members).cells if cell.ours
    }
    assert "Inpaint" not in places_of
    assert members[0].summary.parts["filler"].inpaints is False


def test_merged_shards_show_what_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["run.py", "-m", "method=mp2", "method.max_steps=2", "show_removed=true", *SMALL]
    words += ["selection.shard.index=0,1", "selection.shard.count=2", *places(tmp_path)]
    monkeypatch.setattr(sys, "argv", [*words, "metric=[deletion]"])
    GlobalHydra.instance().clear()
    main()
    merged = tmp_path / "sweep" / "merged" / "0"
    column = examples.removed_column(merged)
    assert column is not None
    assert len(column.images) == load_summary(merged).photos == 2
    assert len(genattr.load(merged)) == 2


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("optuna") is None, reason="needs hydra-optuna-sweeper, which wants optuna < 3"
)
def test_a_sweeper_that_optimizes_gets_a_number_and_failures(tmp_path: Path) -> None:
    optuna = ["-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=1"]
    chosen = [*optuna, "method=lime", "method.n_samples=12", "optimize=deletion/auc"]
    done = command(tmp_path, *chosen, "method.n_segments=choice(8,16)")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "best_value" in (tmp_path / "sweep" / "optimization_results.yaml").read_text()
    failed = command(tmp_path / "b", *chosen, "method.n_segments=choice(0,1)")
    assert failed.returncode == 1
    assert "must be at least 2" in failed.stderr + failed.stdout
    refused = command(tmp_path / "c", *chosen, "method.n_segments=choice(8,16)", "sweep_id=mine")
    assert refused.stderr.strip().startswith("genattr: sweep_id=mine: OptunaSweeper chooses")
