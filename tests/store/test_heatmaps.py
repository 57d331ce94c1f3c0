"""The store and the run's heatmap file: nothing changes on the way, nothing damaged is read."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genattr
from genattr.errors import UserError
from genattr.filler.blur import Blur
from genattr.method.boxes import Boxes
from genattr.method.masks import Masks
from genattr.method.sp import SlidingPatch
from genattr.store import archive
from genattr.store.heatmaps import HeatmapStore, heatmap_key
from genattr.types import Heatmap, Placement
from tests.conftest import REPO, ConstantFiller, LinearClassifier, photo
from tests.method.test_mp2 import mp2


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


def test_boxes_count_where_the_method_reads_them() -> None:
    one, other = (photo(8, boxes=torch.tensor([[0.0, 0.0, side, 4.0]])) for side in (3, 4))
    assert key(sample=one) == key(sample=other)
    assert key(sample=one, method=Boxes("deletion")) != key(sample=other, method=Boxes("deletion"))


def test_the_shown_part_counts_where_a_native_blur_reads_it() -> None:
    whole, part = photo(8), photo(8, region=(1.0, 1.0, 7.0, 7.0))
    native, plain = Blur(2.0, "native"), Blur(2.0, "classifier")
    assert key(sample=whole, filler=native) == key(
        sample=photo(8, region=(0.0, 0.0, 8.0, 8.0)), filler=native
    )
    assert key(sample=part, filler=native) != key(sample=whole, filler=native)
    assert key(sample=part, filler=plain) == key(sample=whole, filler=plain)
    ranked = {"method": mp2(rank_filler=native)}
    assert key(sample=part, **ranked) != key(sample=whole, **ranked)
    assert key(sample=part, method=mp2()) == key(sample=whole, method=mp2())


def test_a_masks_content_counts_and_not_where_it_is(tmp_path: Path) -> None:
    def key_of(folder: str, box: tuple[int, int, int, int], size: int = 8) -> str:
        mask = Image.new("L", (size, size))
        mask.paste(1, box)
        (tmp_path / folder).mkdir(exist_ok=True)
        mask.save(tmp_path / folder / "noise0.png")
        return key(method=Masks(str(tmp_path / folder), "deletion"))

    first = key_of("here", (0, 0, 4, 4))
    assert key_of("there", (0, 0, 8, 8), 16) == first
    assert key_of("here", (0, 0, 4, 5)) != first


def test_no_flipped_byte_passes_for_another_heatmap(tmp_path: Path) -> None:
    """Whatever byte is flipped, the file is found damaged or what it says is unharmed."""
    store = HeatmapStore(tmp_path)
    name = key()
    store.put(name, heatmap())
    path = tmp_path / name[:2] / f"{name}.npz"
    whole = path.read_bytes()
    detected = 0
    for offset in range(len(whole)):
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 0xFF]) + whole[offset + 1 :])
        found = store.get(name)
        assert found is None or same(found, heatmap())
        detected += found is None
    assert detected > len(whole) / 2
    store.put(name, heatmap())
    found = store.get(name)
    assert found is not None
    assert same(found, heatmap())


def test_a_file_under_anothers_name_is_not_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, one, other = HeatmapStore(tmp_path), key(), key(seed=1)
    store.put(one, heatmap())
    (file,) = tmp_path.rglob("*.npz")
    wrong = tmp_path / other[:2] / f"{other}.npz"
    wrong.parent.mkdir(exist_ok=True)
    wrong.write_bytes(file.read_bytes())
    assert store.get(other) is None
    assert f"{wrong} is damaged" in caplog.text


def test_a_look_up_opens_one_file_and_lists_no_folder(tmp_path: Path) -> None:
    code = """if True:
        import sys
        from pathlib import Path
        from tests.store.test_heatmaps import HeatmapStore, heatmap
        store = HeatmapStore(Path(sys.argv[1]))
        names = [f"{n:02x}" * 32 for n in range(20)]
        for name in names[:10]:
            store.put(name, heatmap())
        calls = []
        sys.addaudithook(lambda event, given: calls.append((event, *given)))
        assert sum(store.get(name) is not None for name in names) == 10
        of_store = [one for one in calls if sys.argv[1] in str(one[1:])]
        opened = [one for one in of_store if one[0] == "open" and one[2] is None]
        assert len(opened) == 20, of_store
        assert {one[0] for one in of_store} == {"open", "os.utime"}, of_store
    """
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=REPO, check=False)
    assert done.returncode == 0


def test_a_store_of_a_group_is_the_groups(tmp_path: Path) -> None:
    tmp_path.chmod(0o2770)
    before = os.umask(0o077)
    try:
        HeatmapStore(tmp_path).put("ab12", heatmap())
    finally:
        os.umask(before)
    (file,) = tmp_path.rglob("*.npz")
    assert file.stat().st_mode & 0o040
    assert file.parent.stat().st_mode & 0o2070 == 0o2070


def test_a_folder_of_another_user_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UserError, match=r"ab/ cannot be written to \(Permission denied\)"):
        HeatmapStore(tmp_path).put("ab12", heatmap())


@pytest.mark.parametrize("code", [errno.ESTALE, errno.EIO, errno.ENOENT])
def test_faults_that_pass_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    replace_file, codes = os.replace, [code]

    def replace_late(*paths: Path) -> None:
        replace_file(*paths)
        if codes:
            raise OSError(codes.pop(), "passes")

    monkeypatch.setattr(os, "replace", replace_late)
    HeatmapStore(tmp_path).put("ab12", heatmap())
    assert HeatmapStore(tmp_path).get("ab12") is not None
    assert len(list(tmp_path.rglob("*.*"))) == 1


WRITER = """
import sys
from pathlib import Path
from genattr.store.heatmaps import HeatmapStore
from tests.store.test_heatmaps import heatmap, same
store = HeatmapStore(Path(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    store.put("ab12", heatmap())
    found = store.get("ab12")
    assert found is not None and same(found, heatmap())
"""


def test_processes_that_write_the_same_key_do_no_harm(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path), "100"]
    writers = [subprocess.Popen(command, cwd=REPO, stderr=subprocess.PIPE) for _ in range(2)]
    for writer in writers:
        _, told = writer.communicate(timeout=120)
        assert writer.returncode == 0, told
        assert b"damaged" not in told
    assert [path.name for path in (tmp_path / "ab").iterdir()] == ["ab12.npz"]


def test_a_file_is_as_readable_as_others_of_the_user(tmp_path: Path) -> None:
    HeatmapStore(tmp_path).put("ab12", heatmap())
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    assert (tmp_path / "ab" / "ab12.npz").stat().st_mode == plain.stat().st_mode
