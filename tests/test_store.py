"""The store and the run's heatmap file: nothing changes on the way, nothing damaged is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import genattr
from genattr import archive
from genattr.method.sp import SlidingPatch
from genattr.store import HeatmapStore, heatmap_key
from genattr.types import Heatmap, Placement
from tests.conftest import ConstantFiller, LinearClassifier, photo


def heatmap(index: int = 0, **changes: object) -> Heatmap:
    values = torch.randn(5, 4, generator=torch.Generator().manual_seed(index))
    made = Heatmap(
        values,
        (-1.0, float("inf")),
        Placement("bilinear", 14.5, 3.0),
        f"photo {index} é",
        index,
        0.25,
        10,
        3,
        1.5,
        {"n_segments": 47.0},
    )
    return replace(made, **changes)


def same(a: Heatmap, b: Heatmap) -> bool:
    return torch.equal(a.values, b.values) and replace(a, values=0) == replace(b, values=0)


def test_store_returns_what_was_put(tmp_path: Path) -> None:
    store = HeatmapStore(tmp_path / "store")
    assert store.get("ab12") is None
    store.put("ab12", heatmap())
    found = store.get("ab12")
    assert found is not None
    assert same(found, heatmap())
    assert [path.suffix for path in (tmp_path / "store").rglob("*.*")] == [".npz"]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_file_is_named_and_counts_as_absent(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = HeatmapStore(tmp_path)
    store.put("ab12", heatmap())
    path = tmp_path / "ab" / "ab12.npz"
    content = bytearray(path.read_bytes())
    content[120] ^= 0xFF  # inside the values
    kept = {"truncated": content[:100], "flipped": content, "empty": b""}[damage]
    path.write_bytes(bytes(kept))
    assert store.get("ab12") is None
    assert str(path) in caplog.text


def test_the_runs_file_reads_back(tmp_path: Path) -> None:
    made = [heatmap(i) for i in range(3)]
    path = archive.write(tmp_path / "heatmaps.npz", iter(made), 3)
    assert all(same(a, b) for a, b in zip(genattr.load(path), made, strict=True))
    assert all(same(a, b) for a, b in zip(genattr.load(tmp_path), made, strict=True))
    with np.load(path, allow_pickle=False) as data:
        assert data["values"].shape == (3, 5, 4)
        assert data["image_id"].tolist() == [one.image_id for one in made]


def patches(**changes: object) -> SlidingPatch:
    plain = SlidingPatch(3, 1, "stretch", "full", 0.01, 0.333, requires_inpainter=False)
    return replace(plain, **changes)


def key(**changes: object) -> str:
    values: dict[str, object] = {
        "sample": photo(8),
        "target": 1,
        "classifier": LinearClassifier(torch.zeros(3, 8, 8), fingerprint="a"),
        "filler": ConstantFiller(0.5),
        "method": patches(),
        "seed": 0,
    }
    return heatmap_key(**(values | changes))


def test_key_changes_with_everything_that_determines_the_heatmap() -> None:
    changed = [
        key(sample=photo(8, seed=1)),
        key(sample=photo(8, native_size=(9, 9))),
        key(target=0),
        key(classifier=LinearClassifier(torch.zeros(3, 8, 8), fingerprint="b")),
        key(filler=ConstantFiller(0.4)),
        key(method=patches(stride=2)),
        key(method=patches(upsample="centered")),
        key(method=patches(search="adaptive")),
        key(seed=1),
    ]
    assert len({key(), *changed}) == len(changed) + 1


def test_key_ignores_what_does_not_determine_it() -> None:
    assert key() == key(method=patches(requires_inpainter=True))
    assert key() == key(sample=photo(8, label=0))
