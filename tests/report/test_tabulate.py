"""From a sweep's members to a table: who stands where, what is compared, what is recorded."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from mlflow import MlflowClient
from omegaconf import DictConfig, OmegaConf

from genattr import components
from genattr.analysis.sensitivity import Sensitivity
from genattr.analysis.statistics import estimate, holm, paired
from genattr.errors import UserError
from genattr.protocols import Classifier, Filler
from genattr.report import paper, tabulate
from genattr.results import comparison
from genattr.results.finished import Member
from genattr.results.summary import Part, Summary
from genattr.run import experiment
from tests.conftest import REPO
from tests.contract.options import built, compose_config
from tests.sweep.test_lifecycle import SMALL, places, runs

Scores = Mapping[str, float]


def member(folder: Path, cfg: DictConfig, rows: Sequence[Mapping[str, Any]] = ()) -> Member:
    """Write what a finished member leaves, without running it."""
    folder.mkdir(parents=True)
    method, filler = built(cfg.method, "method"), built(cfg.filler, "filler")
    title = f"{method.title} · {filler.title} · toy"
    parts = {
        key: Part(one.option, one.title, one.inpaints if key.endswith("filler") else None)
        for key, one in _components(cfg)
    }
    Summary(
        title,
        "",
        {},
        {},
        {"localization/alpha": 0.35},
        len(rows),
        parts=parts | {"classifier": Part("toy", "toy")},
        table=cfg.table,
    ).save(folder)
    OmegaConf.save(cfg, folder / "config.yaml", resolve=True)
    (folder / "environment.json").write_text(json.dumps({"input_size": 160}))
    pd.DataFrame(list(rows)).to_parquet(folder / "per_image.parquet", index=False)
    return Member(folder)


def _components(cfg: DictConfig) -> Iterator[tuple[str, Any]]:
    """Yield the components of a configuration that is not run, with their keys."""
    for key in ("method", "filler", "dataset"):
        with suppress(UserError):
            yield key, built(cfg[key], key)
    for name, node in cfg.metric.items():
        for key in ("filler", "judge"):
            if key in node:
                base = {"filler": Filler, "judge": Classifier}[key]
                yield f"metric.{name}.{key}", components.build(node[key], key, base)


def rows(name: str, scores: Scores, held_out: int = 1) -> list[dict[str, Any]]:
    found = [
        {"split": "evaluation", "image_id": photo, "target": 0, name: value}
        for photo, value in scores.items()
    ]
    other = {"split": "held_out", "target": 0, name: 99.0}
    return found + [other | {"image_id": f"other{index}"} for index in range(held_out)]


def deletion(folder: Path, option: str, scores: Scores, *overrides: str) -> Member:
    cfg = compose_config("experiment=table3_deletion", f"method={option}", *overrides)
    return member(folder / option, cfg, rows("deletion/auc", scores))


def test_scores_stand_in_the_papers_places_and_pairs_share_photos(tmp_path: Path) -> None:
    plain = {"a": 0.5, "b": 0.4, "c": 0.3, "d": 0.1}
    ours = {"d": 0.2, "b": 0.1, "a": 0.1, "e": 0.9}
    found = [deletion(tmp_path, "sp-g", ours), deletion(tmp_path, "sp", plain)]
    made = tabulate.build("table3_deletion", found)
    assert [cell.column for cell in made.cells][:3] == ["Baseline", "SP", "SP-G"]
    assert list(dict.fromkeys(c.dataset for c in made.cells)) == [
        "imagenet",
        "places365",
        "samples",
    ]
    by_place = {(cell.dataset, cell.column): cell for cell in made.cells}
    assert by_place["samples", "SP"].ours == estimate(list(plain.values()))
    assert by_place["samples", "SP-G"].ours == estimate(list(ours.values()))
    assert by_place["imagenet", "SP"].ours is None
    assert by_place["imagenet", "SP"].paper == 0.1996
    assert by_place["samples", "LIME"].ours is None
    (only,) = made.comparisons
    assert (only.first, only.second, only.dataset) == ("SP-G", "SP", "samples")
    expected = paired([0.2, 0.1, 0.1], [0.1, 0.4, 0.5], better="lower")
    assert only.difference == expected
    assert only.corrected == expected.p


def test_a_paper_dataset_stands_beside_its_own_numbers(tmp_path: Path, kaggle_tree: Path) -> None:
    root = ("dataset=imagenet", f"dataset.root={kaggle_tree}")
    made = tabulate.build("table3_deletion", [deletion(tmp_path, "sp", {"a": 0.5}, *root)])
    (cell,) = [cell for cell in made.cells if cell.ours is not None]
    assert (cell.dataset, cell.column, cell.paper) == ("imagenet", "SP", 0.1996)
    assert cell.ours.mean == 0.5


def test_the_papers_difference_stands_beside_ours(tmp_path: Path, kaggle_tree: Path) -> None:
    root = ("dataset=imagenet", f"dataset.root={kaggle_tree}")
    pair = [deletion(tmp_path, one, {"a": 0.5, "b": 0.4}, *root) for one in ("sp-g", "sp")]
    (only,) = tabulate.build("table3_deletion", pair).comparisons
    assert only.paper == pytest.approx(0.1769 - 0.1996)
    samples = [deletion(tmp_path / "own", one, {"a": 0.5}) for one in ("sp-g", "sp")]
    assert [one.paper for one in tabulate.build("table3_deletion", samples).comparisons] == [None]


def test_the_correction_counts_all_comparisons_of_the_table(tmp_path: Path) -> None:
    names = {"sp": 0.5, "sp-g": 0.4, "lime": 0.6, "lime-g": 0.1}
    found = []
    for option, base in names.items():
        scores = {f"photo{index}": base + 0.01 * index * len(option) for index in range(8)}
        found.append(deletion(tmp_path, option, scores))
    made = tabulate.build("table3_deletion", found)
    assert [(one.first, one.second) for one in made.comparisons] == [
        ("SP-G", "SP"),
        ("LIME-G", "LIME"),
    ]
    p_values = [one.difference.p for one in made.comparisons]
    assert [one.corrected for one in made.comparisons] == holm(p_values)
    best = min(made.comparisons, key=lambda one: one.difference.p)
    assert best.corrected == pytest.approx(2 * best.difference.p)


def test_several_targets_of_a_photo_count_once(tmp_path: Path) -> None:
    one = deletion(tmp_path, "sp", {"a": 0.2})
    table = pd.read_parquet(one.folder / "per_image.parquet")
    twice = pd.concat([table, table.assign(**{"deletion/auc": 0.4})])
    twice.to_parquet(one.folder / "per_image.parquet")
    assert tabulate.scores(one, "deletion/auc") == {"a": pytest.approx(0.3)}
    assert tabulate.scores(one, "insertion/auc") == {}


def test_the_threshold_table_shows_what_the_run_chose(tmp_path: Path) -> None:
    cfg = compose_config("experiment=figS6_alpha", "method=sp")
    one = member(tmp_path / "sp", cfg, rows("x", {"a": 1.0}, held_out=5))
    cells = tabulate.build("figS6_alpha", [one]).cells
    found = {(cell.row, cell.column): cell.ours for cell in cells if cell.ours is not None}
    assert {place: (ours.mean, ours.n) for place, ours in found.items()} == {
        ("Localization alpha", "SP"): (0.35, 5)
    }


def swept(name: str) -> list[list[str]]:
    """Return the overrides of an experiment's members."""
    params = OmegaConf.load(REPO / "conf" / "experiment" / f"{name}.yaml").hydra.sweeper.params
    members: list[list[str]] = [[]]
    for key, values in params.items():
        (override,) = OverridesParser.create().parse_overrides([f"{key}={values}"])
        is_swept = override.is_sweep_override()
        choices = list(override.sweep_string_iterator()) if is_swept else [values]
        members = [[*one, f"{key}={choice}"] for one in members for choice in choices]
    return members


@pytest.mark.parametrize("name", paper.tables())
def test_an_experiment_of_the_tables_name_fills_all_its_places(tmp_path: Path, name: str) -> None:
    found = [
        member(tmp_path / str(index), compose_config(f"experiment={name}", *overrides))
        for index, overrides in enumerate(swept(name))
    ]
    assert {one.config["table"] for one in found} == {name}
    assert tabulate.chosen(found) == name
    published = paper.table(name)
    used = set()
    for row in published.rows.values():
        for column in published.columns.values():
            one = tabulate.find(found, "samples", row | column)
            assert one is not None
            used.add(one.folder)
            metric = ((row | column).score or (row | column).value or "").partition("/")[0]
            computed = OmegaConf.load(one.folder / "config.yaml")
            assert metric in {*computed.metric, "sensitivity", "lpips"}
            assert (metric == "sensitivity") == (computed.sensitivity.over is not None)
    assert len(used) == len(found)


def test_an_unknown_table_is_refused_before_anything_starts() -> None:
    with pytest.raises(UserError, match="table=table9: no such table"):
        experiment.assemble(compose_config("table=table9"))


@pytest.fixture(scope="module")
def drifted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A whole small sweep."""
    folder = tmp_path_factory.mktemp("drifted")
    own = ["experiment=sec51_patch_drift", "metric=[drift]", "protocol.stride=50", "target=label"]
    done = subprocess.run(
        [sys.executable, "run.py", *SMALL, *own, *places(folder)],
        cwd=REPO, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return folder, done.stdout


def test_a_sweep_ends_with_its_table(drifted: tuple[Path, str]) -> None:
    folder, printed = drifted
    assert "Section 5.1. Change of the probability" in printed
    numbers = pd.read_csv(folder / "sweep" / "table.csv")
    ours = numbers[numbers["dataset"] == "samples"].set_index("column")
    for index, column in enumerate(("SP", "SP-G")):
        table = pd.read_parquet(folder / "sweep" / str(index) / "per_image.parquet")
        assert ours["ours"][column] == pytest.approx(table["drift/change"].mean())
    assert numbers["paper"].tolist()[:2] == [0.09, 0.04]
    (parent,) = [run for run in runs(folder) if run.data.tags["kind"] == "sweep"]
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    kept = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert {"table.csv", "comparisons.csv", "table.md", "table.tex"} <= kept


def test_similarities_by_photo_are_means_over_pairs(tmp_path: Path) -> None:
    cfg = compose_config("experiment=tableS1_sam", "row=sam_sp")
    one = member(tmp_path / "sp", cfg)
    nan = float("nan")
    similarities = [[[0.2, 0.5, 1.0], [0.4, nan, 0.0], [0.6, 0.7, nan]]]
    group = Sensitivity("SP", "patch_size", ["5", "17", "29"], [("a", 0)], np.array(similarities))
    comparison.write([group], one.folder, title="SP")
    assert tabulate.scores(one, "sensitivity/ssim") == {"a": pytest.approx(0.4)}
    assert tabulate.scores(one, "sensitivity/hog") == {"a": pytest.approx(0.6)}
    cells = tabulate.build("tableS1_sam", [one]).cells
    (cell,) = [cell for cell in cells if cell.ours is not None and cell.column == "SSIM"]
    assert (cell.row, cell.dataset) == ("SP", "samples")
    assert replace(cell, ours=None).paper is None


def test_similarities_that_are_all_undefined_are_kept_as_such(tmp_path: Path) -> None:
    cfg = compose_config("experiment=tableS1_sam", "row=sam_mp2")
    one = member(tmp_path / "mp2", cfg)
    values, photos = ["28", "56"], [("a", 0), ("b", 0)]
    undefined = np.full((2, 1, 3), np.nan)
    comparison.write(
        [Sensitivity("MP2", "mask_size", values, photos, undefined)], one.folder, title=""
    )
    (kept,) = comparison.read(one.folder)
    np.testing.assert_array_equal(kept.similarities, undefined)
    assert kept.spreads["ssim"].undefined_pairs == 2
    made = tabulate.build("tableS1_sam", [one])
    assert "nan" not in made.stand_up().to_string() + made.lay_out().to_string()
