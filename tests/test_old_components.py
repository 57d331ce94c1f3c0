"""Components written by the how-to pages as they were before the bases run as they stand.

Their classes derive from nothing, or from the old bases, and import from the old places.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from genattr import components
from genattr.errors import UserError
from genattr.filler.inpainting import NetworkInpainter
from genattr.method.base import Method
from genattr.protocols import Filler
from tests.conftest import REPO
from tests.contract.options import small
from tests.contract.test_runs import run_and_check
from tests.test_docs import NAMED_FILE

PAGES = REPO / "tests" / "data" / "how_to_0_1"
GROUPS = ("classifier", "dataset", "filler", "method", "metric")
CHEAP = ("classifier=timm", "target=predicted", "show_removed=true")
RUNS = {
    "add-a-classifier": ["classifier=tiny_cnn", "target=predicted", "metric=[deletion]"],
    "add-a-dataset": ["dataset=shapes", "method=center", "metric=[localization]", *CHEAP],
    "add-a-filler": ["filler=median", "method=lime", "metric=[deletion]", *CHEAP],
    "add-a-method": ["method=keep_one", "metric=[deletion]", *CHEAP],
    "add-a-metric": ["metric=[sparsity]", "method=center", *CHEAP],
    "add-an-inpainter": ["filler=spread", "method=lime-g", "metric=[remains]", *CHEAP],
    "bring-your-own": ["method=brightness", "metric=[deletion]", *CHEAP],
}


@pytest.fixture
def search_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Put the pages' files where Python finds them; give what makes Hydra find theirs."""
    root, before = tmp_path / "old", set(sys.modules)
    for page in PAGES.glob("*.md"):
        for name, text in NAMED_FILE.findall(page.read_text()):
            path = root / name.replace("my_conf/", "conf/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    for group in GROUPS:
        package = import_module(f"genattr.{group}")
        folders = [str(root / "genattr" / group), *package.__path__]
        monkeypatch.setattr(package, "__path__", folders)
    monkeypatch.syspath_prepend(root)
    yield f"hydra.searchpath=[file://{root / 'conf'}]"
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(root)):
            parent, _, child = name.rpartition(".")
            if parent:
                delattr(sys.modules[parent], child)
            del sys.modules[name]


def test_every_page_is_tried() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == set(RUNS)


@pytest.mark.parametrize("page", RUNS)
def test_an_old_component_runs(tmp_path: Path, search_path: str, page: str) -> None:
    run_and_check(tmp_path, search_path, *RUNS[page])


def test_an_old_component_has_the_rest_from_its_kind(tmp_path: Path, search_path: str) -> None:
    cfg = small(tmp_path, search_path, "method=keep_one")
    method = components.build(cfg.method, "method", Method)
    assert (method.title, method.option, method.family) == ("keep_one",) * 3
    assert not method.requires_inpainter
    assert method.rows(224, 3) == 3 * 50
    assert method.cell_holes(224) is None


def test_keys_of_old_components_are_what_they_were(tmp_path: Path, search_path: str) -> None:
    cfg = small(tmp_path, search_path, "method=keep_one", "filler=median")
    method = components.build(cfg.method, "method", Method)
    filler = components.build(cfg.filler, "filler", Filler)
    assert components.identity(method) == {"class": "genattr.method.keep_one.KeepOne", "tiles": 7}
    assert components.identity(filler) == {
        "class": "genattr.filler.median.Median",
        "empty": [0.485, 0.456, 0.406],
    }
    cfg = small(tmp_path, search_path, "method=brightness", "filler=spread")
    method = components.build(cfg.method, "method", Method)
    spread = components.build(cfg.filler, "filler", Filler)
    assert components.identity(method) == {"class": "my_methods.Brightness", "power": 2.0}
    assert isinstance(spread, NetworkInpainter)
    assert components.identity(spread) == {
        "class": "genattr.filler.spread.Spread",
        "size": None,
        "dilate": 0,
        "context": "full",
        "steps": 40,
        "weights": spread.fingerprint,
    }


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("method.tiles=0", "method.tiles=0: must be at least 1"),
        ("method.tiles=no", "method.tiles=no: it should be a valid integer"),
        ("+method.tile=1", "method.tile: no such option; there is tiles"),
    ],
)
def test_a_wrong_value_of_an_old_method_is_told(
    tmp_path: Path, search_path: str, typed: str, told: str
) -> None:
    cfg = small(tmp_path, search_path, "method=keep_one", typed)
    with pytest.raises(UserError) as error:
        components.build(cfg.method, "method", Method)
    assert str(error.value).startswith(told)


@pytest.mark.parametrize(
    ("key", "choice"),
    [
        ("filler", "filler=median"),
        ("metric.deletion.filler", "filler@metric.deletion.filler=median"),
    ],
)
def test_a_wrong_value_of_an_old_filler_is_told_under_its_key(
    tmp_path: Path, search_path: str, key: str, choice: str
) -> None:
    cfg = small(tmp_path, search_path, choice, f"{key}.empty=[2,0,0]")
    node = cfg.filler if key == "filler" else cfg.metric.deletion.filler
    with pytest.raises(UserError) as error:
        components.build(node, key, Filler)
    assert str(error.value) == f"{key}.empty=[2, 0, 0]: must be three numbers in [0, 1]"
