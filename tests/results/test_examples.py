"""Pictures from the folders of runs: every photo with every run's heatmap, at one size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text

from genattr.results import examples
from genattr.results.examples import Examples, photo_key
from genattr.results.summary import Part, Summary
from genattr.store import archive
from genattr.types import Heatmap, Placement
from tests.conftest import photo


def summary(method: str, classifier: str = "small") -> Summary:
    parts = {"method": method, "filler": "gray", "classifier": classifier}
    return Summary(
        f"{method} · gray · {classifier}", "stride 3", {}, {}, {}, photos=2,
        parts={key: Part(title.lower(), title) for key, title in parts.items()},
    )  # fmt: skip


SUMMARY = summary("SP")


def heatmap(index: int) -> Heatmap:
    values = torch.randn(4, 4, generator=torch.Generator().manual_seed(index))
    return Heatmap(values, (-1.0, 1.0), Placement(), f"noise{index}", 1, 0.5, 1, 1)


def run_folder(
    folder: Path, size: int, count: int = 2, summary: Summary = SUMMARY, more: int = 0
) -> Path:
    """Write what a run leaves for its pictures; ``more`` photos are explained and not kept."""
    folder.mkdir()
    kept = Examples()
    for index in range(count):
        kept.add((index, 0), photo(size, seed=index), 1, "yes", 0.5)
    kept.save(folder, {photo_key("noise0", 1): f"at {size} pixels"}, {})
    total = count + more
    archive.write(folder / "heatmaps.npz", map(heatmap, range(total)), total)
    summary.save(folder)
    return folder


def drawn(monkeypatch: pytest.MonkeyPatch, folders: list[Path], path: Path) -> list[str]:
    """Return every text that stands in the picture."""
    figures: list[Figure] = []
    save = Figure.savefig

    def keep(self: Figure, *arguments: object, **options: object) -> None:
        figures.append(self)
        save(self, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    examples.draw(folders, path, title="", note="")
    return [text.get_text() for text in figures[0].findobj(Text) if text.get_text()]


def test_runs_of_different_input_sizes_stand_in_one_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = summary("SP", "large")
    folders = [run_folder(tmp_path / "a", 16, 3), run_folder(tmp_path / "b", 24, 2, large)]
    shown = {one.image_id: one for folder in folders for one in examples.load_photos(folder)}
    assert [len(one.image) for one in shown.values()] == [24, 24, 16]
    column = examples.load_column(folders[0], SUMMARY, shown)
    for index, side in enumerate((24, 24, 16)):
        expected = heatmap(index).to_image(side).numpy()
        assert np.array_equal(column.heatmaps[photo_key(f"noise{index}", 1)], expected)
    texts = drawn(monkeypatch, folders, tmp_path / "comparison.png")
    assert {"SP · gray · small", "SP · gray · large"} <= set(texts)
    assert texts.count("no heatmap") == 1


def test_a_classifier_that_all_runs_share_is_left_to_the_title(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = summary("LIME")
    folders = [run_folder(tmp_path / "a", 16), run_folder(tmp_path / "b", 16, summary=other)]
    texts = drawn(monkeypatch, folders, tmp_path / "comparison.png")
    assert {"SP · gray", "LIME · gray"} <= set(texts)


def test_what_sets_a_run_apart_stands_under_its_title(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = [replace(SUMMARY, choices=f"seed {seed}") for seed in (0, 1)]
    folders = [run_folder(tmp_path / one.choices, 16, summary=one) for one in members]
    texts = drawn(monkeypatch, folders, tmp_path / "comparison.png")
    assert {"stride 3 · seed 0", "stride 3 · seed 1"} <= set(texts)


def test_only_the_heatmaps_of_kept_photos_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run_folder(tmp_path / "run", 16, more=3)
    read, values = [], archive._values

    def count(*found: object, **options: object) -> object:
        read.append(found)
        return values(*found, **options)

    monkeypatch.setattr(archive, "_values", count)
    first = examples.examples(folder, SUMMARY)
    assert [one.step for one in first] == [0, 1]
    assert len(read) == 2


def test_heatmaps_under_several_values_are_kept_at_the_photos_size(tmp_path: Path) -> None:
    assert examples.load_varied(tmp_path) == {}
    assert examples.load_varied(run_folder(tmp_path / "plain", 16)) == {}
    kept = Examples()
    for index in range(3):
        kept.add((index, 0), photo(16, seed=index), 1, "yes", 0.5)
    varied = {"5": [heatmap(0), heatmap(1)], "17": [heatmap(0), heatmap(2)]}
    kept.save(tmp_path, {}, varied)
    found = examples.load_varied(tmp_path)
    assert list(found) == ["5", "17"]
    for value, heatmaps in varied.items():
        assert found[value].keys() == {photo_key(one.image_id, 1) for one in heatmaps}
        for one in heatmaps:
            assert np.array_equal(found[value][photo_key(one.image_id, 1)], one.to_image(16))
