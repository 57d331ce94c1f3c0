"""Whatever is typed or stands in a file of the user's ends in a configuration or in one line."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra.core.global_hydra import GlobalHydra
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf, open_dict

from genattr import config, overrides
from genattr.__main__ import main
from genattr.commands import jobs
from genattr.components import build
from genattr.errors import UserError
from genattr.method.base import Method
from genattr.metric.base import Metric
from genattr.protocols import Filler
from genattr.run import experiment
from tests.contract.options import compose_config, options
from tests.faults.conftest import Tally
from tests.faults.generated import GENERATED, in_time

SECONDS = 60  # of work for one case
BASES: dict[str, type[Any]] = {"method": Method, "metric": Metric, "filler": Filler}
CHEAP = (
    "classifier=timm", "classifier.name=test_resnet", "classifier.pretrained=false",
    "method=center", "metric=[]", "tracking=none", "threads=1",
)  # fmt: skip
KEYS = (
    "seed", "batch_size", "threads", "devices", "device", "target", "explain", "note", "store",
    "selection.limit", "selection.sample", "selection.shard.count", "selection.shard", "selection",
    "selection.seed", "selection.held_out", "sensitivity.over", "sensitivity.values", "metric",
    "+metric.deletion", "method", "filler", "method.patch_size", "method._target_", "protocol",
    "filler._target_", "+method._target_", "+unknown", "+a.b.c", "~method", "~selection", "report",
    "table", "optimize", "experiment", "hydra.run.dir", "+hydra", "classifier.input_size",
    "classifier.mean", "classifier.name", "classifier", "precision", "engine", "map_colors",
)  # fmt: skip
TYPED = (
    "null", "yes", "no", "true", "3", "-1", "0", "0o17", "012", "0x1f", "1e400", "1e9", "1e12",
    "nan", "inf", "2020-01-01", "12:30:00", "", "???", "9" * 400, "9" * 5000, "a" * 5000, "[]",
    "{}", "[1,2]", "[[1]]", "{a:1}", "[" * 400 + "]" * 400, "${seed}", "${note}", "${store}",
    "${nowhere}", "${", "${nope:1}", "${oc.env:NO_SUCH_VARIABLE}", "'\x00'", "\x1b[31m",
    "os.system", "builtins.eval", "subprocess.Popen", "genattr.method.sp.SP", "a b", "a,b", "a=b",
    "'", '"a', "gray", "sp", "deletion", "label", "top-3", "top-" + "9" * 5000, "\u202e", "\ud7ff",
)  # fmt: skip
VALUES = (
    None, True, False, 0, -1, 1, 2, 7, 10**6, 10**9, 10**12, 2**63, 10**400, 0.5, -0.5, 1e9, 1e300,
    float("inf"), float("-inf"), float("nan"), "", "a", "1", "a" * 10**6, "\x00\x1b[2J\n", "no",
    [], {}, [1], [0.5, 0.5, 0.5], [float("nan")] * 3, list(range(10**4)), {"a": {"b": 1}},
    "${seed}", "${method}", "${nowhere}", "${oc.env:NO_SUCH_VARIABLE}", "???", "os.system",
    {"_target_": "os.system", "command": "touch called"}, {"_target_": "builtins.eval"},
    {"_target_": "subprocess.Popen", "args": ["touch", "called"]}, {"_target_": 3},
    {"_target_": "genattr.filler.gray.Gray"}, {"_target_": "genattr.files.remove"},
)  # fmt: skip
WORDS = st.builds("{}={}".format, st.sampled_from(KEYS), st.sampled_from(TYPED) | st.text())
ODD = st.sampled_from(VALUES) | st.integers() | st.floats() | st.text()
LAUGHS = "l0: &l0 [x, x]\n" + "".join(
    f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 10)
)
LINES = (
    "seed:\n\t3", "\ufeffseed: 3", "- 3", "3", "", "{", "a: &a [x]", "seed: *b", "seed: 1\nseed: 2",
    "defaults:\n  - mine", "defaults: 3", "defaults:\n  - nowhere", "defaults: [null]",
    "defaults:\n  - override /method: 7", "defaults:\n  - {a: b, c: d}", "note: ${note}",
    "seed: 2020-01-01", "note: !!python/object/apply:os.system ['touch called']", "? [a]\n: 3",
    "\x00", "seed: 0o7", "a: &a [*a]", "a: &a {b: *a}", "x: " + "[" * 5000, "null: 3", "1: 2",
    "x: " + "[" * 500 + "]" * 500, "seed: " + "9" * 5000, "seed: 2020-13-45", "note: yes",
    "seed: yes", "note: 012", "seed: .inf", "seed: [1]", "note: !!binary aaaa", "note: !!set {a}",
    "note: !!timestamp x", "method: 3", "method: [1]", "method: null", "hydra: 3", "seed: ???",
    "method: {_target_: os.system}", "hydra: {run: 3}", "classifier: ???", "note: '${'",
    "note: ${nope:}", "store: ${note}\nnote: ${store}", "metric: ${metric}", "selection: 3",
    "selection: {shard: 4}", "note: " + "a" * 10**6, LAUGHS, "# @package a[0]\nseed: 3",
)  # fmt: skip
CONTENTS = st.sampled_from(LINES).map(str.encode) | st.lists(
    st.sampled_from(LINES), min_size=2, max_size=3
).map("\n".join).map(str.encode) | st.binary(max_size=60)  # fmt: skip


def few(count: int) -> Callable[[Any], Any]:
    """Return Hypothesis's settings for so many cases."""
    return settings(max_examples=count, phases=[Phase.generate], **GENERATED)


def ends_well(read: Callable[[], object]) -> str:
    """Read something; whatever else than success or one line fails the test."""
    told = "accepted"
    with in_time(SECONDS):
        try:
            read()
        except UserError as error:
            told = str(error)
    assert len(told.splitlines()) == 1
    return "accepted" if told == "accepted" else "refused in one line"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty folder, in which nothing may stand afterwards but what a test puts there."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "argv", ["genattr"])
    yield here
    assert not list(here.rglob("called"))


def check(words: list[str]) -> None:
    """Compose and check as a command does before it opens photos and networks."""
    config.register()
    jobs._check(jobs.parse([*CHEAP, *words]), config.folder(), "config")


@few(500)
@given(words=st.lists(WORDS, min_size=1, max_size=2))
def test_words(words: list[str], place: Path, tally: Tally) -> None:
    tally(f"generated overrides: {ends_well(lambda: check(words))}")
    assert not os.listdir(place)


@few(400)
@given(content=CONTENTS)
def test_files_of_the_user(content: bytes, tmp_path: Path, place: Path, tally: Tally) -> None:
    file = tmp_path / "own" / "experiment" / "mine.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"# @package _global_\n" + content)
    words = ["--config-dir", str(tmp_path / "own"), "experiment=mine"]
    tally(f"generated configuration files: {ends_well(lambda: check(words))}")
    assert not os.listdir(place)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"note: \xff", "it is no text in UTF-8"),
        (b"seed: 0\nnote:\n\t3", "line 3: "),
        (LAUGHS.encode(), "its anchors"),
        (b"a: &a [*a]", "hold themselves by an anchor"),
        (b"note: " + b"a" * 10**6, "bytes are no configuration"),
        (b"\x00", "unacceptable character"),
    ],
    ids=["not UTF-8", "a tab", "laughs", "a circle", "large", "a control character"],
)
def test_a_file_that_is_not_read_is_named(
    content: bytes, told: str, tmp_path: Path, tally: Tally
) -> None:
    file = tmp_path / "own" / "experiment" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    with in_time(SECONDS), pytest.raises(UserError, match=told) as refused:
        check(["--config-dir", str(tmp_path / "own"), "experiment=mine"])
    assert str(refused.value).startswith(f"{file}: ")
    tally("configuration files that are refused by name")


@cache
def node_of(group: str, option: str) -> DictConfig:
    return compose_config(f"metric=[{option}]" if group == "metric" else f"{group}={option}")


COMPONENTS = [(group, option) for group in BASES for option in options(group)]


@few(1_200)
@given(which=st.sampled_from(COMPONENTS), number=st.integers(0, 30), value=ODD)
def test_parameters(
    which: tuple[str, str], number: int, value: Any, place: Path, tally: Tally
) -> None:
    group, option = which
    cfg = deepcopy(node_of(group, option))
    keys = [group, option] if group == "metric" else [group]
    node = OmegaConf.select(cfg, ".".join(keys))
    key = [*node, "unknown"][number % (len(node) + 1)]

    def read() -> None:
        with open_dict(node):
            node[key] = value
        overrides.resolved(cfg, lambda: build(node, ".".join(keys), BASES[group]))

    tally(f"generated parameters of components: {ends_well(lambda: changed(read))}")
    assert not os.listdir(place)


@few(600)
@given(number=st.integers(0, 60), value=ODD)
def test_settings(number: int, value: Any, place: Path, tally: Tally) -> None:
    cfg = deepcopy(node_of("method", "center"))
    with open_dict(cfg):
        cfg.pop("hydra", None)
    keys = [*cfg, *(f"selection.{key}" for key in cfg.selection), "sensitivity.over"]
    keys += ["sensitivity.values", "selection.shard.count", "selection.shard.index"]
    key = keys[number % len(keys)]

    def read() -> None:
        OmegaConf.update(cfg, key, value, merge=False)
        overrides.resolved(cfg, lambda: config.check(cfg))

    tally(f"generated settings: {ends_well(lambda: changed(read))}")
    assert not os.listdir(place)


def changed(read: Callable[[], None]) -> None:
    """Read; what OmegaConf itself refuses to put there is refused in one line by a command."""
    from omegaconf.errors import OmegaConfBaseException

    try:
        read()
    except OmegaConfBaseException as error:
        raise UserError(str(error)) from error


class CheckedError(BaseException):
    """Everything is checked, and the work would begin."""


@few(60)
@given(words=st.lists(WORDS, min_size=1, max_size=2))
def test_the_command(words: list[str], place: Path, tally: Tally) -> None:
    def begin(*_: object) -> None:
        raise CheckedError

    folder = place.parent / "run"
    shutil.rmtree(folder, ignore_errors=True)  # of a line that was accepted
    typed = [*CHEAP, f"store={place.parent}/heatmaps", f"hydra.run.dir={folder}", *words]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["genattr", *typed])
        patch.setenv("HYDRA_FULL_ERROR", "0")
        patch.setattr(experiment, "conduct", begin)
        GlobalHydra.instance().clear()
        with in_time(SECONDS), pytest.raises((SystemExit, CheckedError)) as stopped:
            main()
    if isinstance(stopped.value, SystemExit):
        told = stopped.value.code
        assert isinstance(told, str), (words, told)
        assert told.startswith("genattr: "), words
        assert len(told.splitlines()) == 1, words
        assert not folder.exists()
        assert not os.listdir(place), words
    kind = "refused in one line" if isinstance(stopped.value, SystemExit) else "accepted"
    tally(f"generated command lines: {kind}")


@pytest.mark.parametrize("group", ["method", "filler"])
@pytest.mark.parametrize(
    "target",
    ["subprocess.Popen", "os.system", "builtins.eval", "genattr.tracking.mlflow.MLflow"],
)
def test_what_is_no_component_is_never_called(group: str, target: str, tally: Tally) -> None:
    cfg = OmegaConf.create({"_target_": target, "args": ["touch", "called"]})
    with pytest.raises(UserError, match=r"it is no |no such class"):
        build(cfg, group, BASES[group])
    tally("classes that are no component")
