"""Files of heatmaps and scores with any damage: absent, named in the log, and never another's."""

from __future__ import annotations

import io
import json
import tempfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy

from genattr.store import archive
from genattr.store.heatmaps import HeatmapStore, Key
from genattr.store.scores import ScoreStore
from tests.faults.conftest import Tally
from tests.store.test_heatmaps import heatmap, same

KEY = Key.of({"version": 1, "photo": "any"})
WHOLE = archive.content(heatmap(), KEY.about)
SCORES = {Key.of(1): {"auc": 0.25, "curve": [1.0, 0.5, 0.125]}, Key.of(2): {"hit": True}}
MEMBERS = ["values", *archive.COLUMNS, "details", "common", "about"]
CASES = settings(
    max_examples=700,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
places = st.integers(0, len(WHOLE) - 1)
flips = st.lists(st.tuples(places, st.integers(1, 255)), min_size=1, max_size=4)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
ARRAYS = st.sampled_from(
    [
        np.zeros((0,)),
        np.zeros((2, 5, 4), "<f4"),
        np.zeros((1, 5, 4), "<f8"),
        np.zeros((1, 5), "<f4"),
        np.full((1, 5, 4), np.nan, "<f4"),
        np.array(["x"]),
        np.array([b"x"]),
        np.array([1 + 2j]),
        np.array("{}"),
        np.array("[[[["),
        np.array('{"value_range": [1], "placement": {}}'),
        np.array('{"value_range": [0, 1], "placement": {"stride": 0, "origin": 1}}'),
        np.array('{"value_range": [0, 1], "placement": {"interpolation": "none"}}'),
        np.array([float("nan")]),
        np.array([2**62]),
        np.array(["NaN"]),
        np.zeros((1, 5, 4), ">f4"),
    ]
)


def file_in(folder: str, content: bytes) -> HeatmapStore:
    path = Path(folder) / KEY[:2] / f"{KEY}.npz"
    path.parent.mkdir()
    path.write_bytes(content)
    return HeatmapStore(Path(folder))


def is_absent_or_right(content: bytes) -> bool:
    """Check that a file is found damaged, or right; return whether it was found damaged."""
    with tempfile.TemporaryDirectory() as folder:
        store = file_in(folder, content)
        found = store.get(KEY)
        assert found is None or same(found, heatmap())
        store.put(KEY, heatmap())
        again = store.get(KEY)
        assert again is not None
        assert same(again, heatmap())
    return found is None


def exchanged(name: str, array: np.ndarray[Any, Any], *, pickled: bool = False) -> bytes:
    """Return the file with another array under a name."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(WHOLE)) as source, zipfile.ZipFile(made, "w") as target:
        for member in source.namelist():
            if member != f"{name}.npy":
                target.writestr(member, source.read(member))
        with target.open(f"{name}.npy", "w") as file:
            npy.write_array(file, array, allow_pickle=pickled)
    return made.getvalue()


@pytest.mark.parametrize("kind", ["flipped", "truncated", "spliced"])
def test_damaged_bytes(kind: str, tally: Tally) -> None:
    def damaged(data: st.DataObject) -> bytes:
        content = bytearray(WHOLE)
        if kind == "flipped":
            for place, change in data.draw(flips):
                content[place] ^= change
        elif kind == "truncated":
            del content[data.draw(places) :]
            content += bytes(data.draw(st.sampled_from([0, 1, len(WHOLE) - len(content)])))
        else:
            begin = data.draw(places)
            content[begin : begin + data.draw(st.integers(0, 40))] = data.draw(st.binary())
        return bytes(content)

    count(damaged, f"heatmap files with bytes {kind}", tally)


def test_wrong_arrays(tally: Tally) -> None:
    def damaged(data: st.DataObject) -> bytes:
        return exchanged(data.draw(st.sampled_from(MEMBERS)), data.draw(ARRAYS))

    cases = [0, 0]

    @CASES
    @given(st.data())
    def check(data: st.DataObject) -> None:
        with tempfile.TemporaryDirectory() as folder:
            store = file_in(folder, damaged(data))
            found = store.get(KEY)
            cases[0] += 1
            cases[1] += found is None
            if found is not None:  # another number, by a hand that made its checksum right
                assert found.values.shape == (5, 4)
                assert found.to_image(8).isfinite().all()

    check()
    tally("heatmap files with other arrays", cases[0])
    assert cases[1] > cases[0] / 2


def count(damaged: Callable[[st.DataObject], bytes], what: str, tally: Tally) -> None:
    cases = [0, 0]

    @CASES
    @given(st.data())
    def check(data: st.DataObject) -> None:
        cases[0] += 1
        cases[1] += is_absent_or_right(damaged(data))

    check()
    tally(what, cases[0])
    assert cases[1] > 0


def test_what_promises_much_gets_no_memory(
    tmp_path: Path, tally: Tally, caplog: pytest.LogCaptureFixture
) -> None:
    bombs = {
        "header alone": _promising((1, 50_000, 50_000), 64),
        "whole": _promising((1, 8_192, 8_192), 4 * 8_192**2),
        "pickle": exchanged("details", np.array([{"a": 1}], object), pickled=True),
        "text": exchanged("about", np.array("x" * 300)),
    }
    for name, content in bombs.items():
        (tmp_path / name).mkdir()
        store = file_in(str(tmp_path / name), content)
        tracemalloc.start()
        assert store.get(KEY) is None, name
        assert tracemalloc.get_traced_memory()[1] < 10_000_000, name
        tracemalloc.stop()
        assert "is damaged" in caplog.text
        tally("heatmap files that promise much, or hold objects")


def _promising(shape: tuple[int, ...], size: int) -> bytes:
    """Return the file with zeros for values, so many bytes of them, whatever their shape says."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as target:
        with zipfile.ZipFile(io.BytesIO(WHOLE)) as source:
            for member in source.namelist()[1:]:
                target.writestr(member, source.read(member))
        with target.open("values.npy", "w") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            npy.write_array_header_1_0(file, header)
            for begin in range(0, size, 2**20):
                file.write(bytes(min(2**20, size - begin)))
    return made.getvalue()


def test_scores(tmp_path: Path, tally: Tally) -> None:
    store, cases = ScoreStore(tmp_path), [0, 0]
    store.put(KEY, SCORES)
    (path,) = tmp_path.rglob("*.json")
    whole = path.read_bytes()
    begins = st.integers(0, len(whole) - 1)
    values = ANY_JSON.map(json.dumps).map(str.encode)
    entry = ANY_JSON.map(lambda one: json.dumps({"version": 1, "scores": one}).encode())
    nested = st.just(b'{"version": 1, "scores": ' + b"[" * 10**6)
    cut = begins.map(lambda end: whole[:end])
    zeros = begins.map(lambda end: whole[:end] + bytes(len(whole) - end))
    flipped = st.tuples(begins, st.integers(1, 255)).map(
        lambda one: whole[: one[0]] + bytes([whole[one[0]] ^ one[1]]) + whole[one[0] + 1 :]
    )

    @CASES
    @given(st.one_of(flipped, flipped, cut, zeros, values, entry, nested, st.binary()))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        found = store.get(KEY)
        cases[0] += 1
        cases[1] += not found
        assert all(isinstance(one, dict) for one in found.values())
        assert all(found.get(key, one) == one for key, one in SCORES.items())
        store.put(KEY, SCORES)
        assert store.get(KEY).items() >= SCORES.items()

    check()
    tally("score files with any content", cases[0])
    assert cases[1] > cases[0] / 2
