"""Experiments one after the other under one name: two small ones, of which one fails at first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from genattr.sweep import series
from tests.conftest import REPO
from tests.contract.options import options
from tests.sweep.test_lifecycle import exit_code
from tests.toys import HUNGRY

PART = """# @package _global_
defaults: [override /method: center]
hydra: {{mode: MULTIRUN, sweeper: {{params: {{{varied}}}}}}}
"""
VARIED = {"hungry": "method._target_: tests.toys.Hungry", "last": "filler: 'gray,mirror'"}
SERIES = """# @package _global_
series: [{parts}]
hydra: {{mode: MULTIRUN}}
"""
SMALL = [
    *("classifier=callable", "classifier.path=tests.toys:color", "classifier.labels=[r,g,b]"),
    *("target=predicted", "selection.limit=2", "metric=[localization]", "threads=1"),
]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Configuration of the series: its first part may fail, and the last one varies the filler."""
    write_series(tmp_path / "own", VARIED)
    return tmp_path


def write_series(folder: Path, parts: Mapping[str, str]) -> None:
    """Write a configuration with the experiment ``mine``, of parts that vary something."""
    place = folder / "experiment"
    place.mkdir(parents=True)
    for name, varied in parts.items():
        (place / f"{name}.yaml").write_text(PART.format(varied=varied))
    (place / "mine.yaml").write_text(SERIES.format(parts=", ".join(parts)))


def test_a_series_ends_with_a_report_and_goes_on(
    own: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def run() -> tuple[int | str | None, list[str]]:
        places = ["tracking=none", f"store={own}/heatmaps", f"hydra.sweep.dir={own}/all"]
        words = ["--config-dir", f"{own}/own", "experiment=mine", "filler=noise"]
        code = exit_code(monkeypatch, *words, *SMALL, *places)
        return code, capfd.readouterr().out.splitlines()

    monkeypatch.chdir(REPO)
    monkeypatch.setenv(HUNGRY, "coffee")
    code, lines = run()
    assert code == 1
    check_costs_first_and_report_last(own, lines)
    check_failed(own, lines)
    monkeypatch.delenv(HUNGRY)
    code, lines = run()
    assert code == 0
    assert "noise.Noise" in (own / "all-hungry" / "0" / "config.yaml").read_text()
    assert lines.count("finished before") == 1
    page = (own / "all" / "report" / "report.html").read_text()
    assert "has not finished" not in page
    for name in VARIED:
        assert f'<a href="../../all-{name}">' in page
    assert (own / "all" / "report" / "table.md").read_text().count("# all-") == 2


def check_costs_first_and_report_last(own: Path, lines: list[str]) -> None:
    heads = [number for number, line in enumerate(lines) if re.match(r"Part \d of 2:", line)]
    (costs,) = [number for number, line in enumerate(lines) if line.startswith("all ")]
    assert costs < heads[0]
    assert re.findall(r"\d+", lines[costs])[:3] == ["3", "2", "6"]
    assert [lines[head].split()[-1] for head in heads] == list(VARIED)
    assert lines[-1] == f"Report:        {own}/all/report/report.html"


def check_failed(own: Path, lines: list[str]) -> None:
    """Check that what fails is named, and that the other part has run, with its own fillers."""
    assert [line for line in lines if line.startswith("Failed:        hungry: exit code 1")]
    (go_on,) = {line for line in lines if line.startswith("To go on:")}
    assert "experiment=mine" in go_on
    assert go_on.endswith(" sweep_id=all")
    page = (own / "all" / "report" / "report.html").read_text()
    assert "hungry has not finished: exit code 1" in page
    assert (own / "all-last" / "1" / "summary.json").is_file()
    assert "filler=noise: not for last: values of it are compared there" in lines


METHODS, FILLERS, ROWS = {"method": "sp,sp-g"}, {"filler": "gray,blur"}, {"row": "a,b"}


@pytest.mark.parametrize(
    ("typed", "params", "left"),
    [
        (["filler=mirror", "seed=1"], FILLERS, ["filler=mirror"]),
        (["filler=mirror,gray", "seed=1"], FILLERS, []),
        (["filler=mirror", "seed=1"], METHODS, ["filler=mirror"]),
        (["filler=mirror", "method=sp-g,lime-g"], METHODS, []),
        (["filler=mirror"], METHODS | {"filler": "lightfill"}, []),
        (["filler=mirror", "method=sp", "seed=1"], ROWS, ["filler=mirror", "method=sp"]),
        (["filler=mirror", "method=sp"], {}, []),
    ],
)
def test_one_value_takes_no_comparison_away(
    typed: list[str], params: dict[str, str], left: list[str]
) -> None:
    assert series._left(typed, params) == left


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["series=[tabel3_deletion]"], "did you mean table3_deletion?"),
        (["series=[]"], "series=[]: name the experiments; there is demo, "),
        (["series=[paper]"], "paper: it is a series itself, and no part of one"),
        (["series=[sec42_blurred]", "seed=x"], "seed=x: must be a whole number"),
        (["series=[sec42_blurred]", "metric=[drift]", "dataset=places365"], "sec42_blurred: "),
        (["series=[sec42_blurred]", "sweep_id=a/b"], "sweep_id=a/b: must be a name"),
    ],
)
def test_what_is_wrong_is_told_before_anything_begins(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = ["tracking=none", f"hydra.sweep.dir={tmp_path}/all"]
    code = exit_code(monkeypatch, "experiment=paper", *places, *words)
    assert told in str(code)
    assert "\n" not in str(code)
    assert not list(tmp_path.iterdir())


def test_a_series_is_no_member_of_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = exit_code(monkeypatch, "-m", "experiment=paper,demo", f"hydra.sweep.dir={tmp_path}/all")
    assert "series: it is started by itself, as experiment=paper is" in str(code)


def test_the_paper_has_all_experiments_with_a_table() -> None:
    listed = OmegaConf.load(REPO / "conf" / "experiment" / "paper.yaml").series
    folder = REPO / "conf" / "experiment"
    tables = [
        one for one in options("experiment") if "table" in OmegaConf.load(folder / f"{one}.yaml")
    ]
    assert sorted(listed) == sorted(tables)
