"""The store's command: it lists, verifies and prunes, and touches nothing but heatmaps."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from genattr.method.sp import SlidingPatch
from genattr.store import inventory
from genattr.store.__main__ import main
from genattr.store.heatmaps import HeatmapStore, Key, heatmap_key
from genattr.store.inventory import DAY, entries
from tests.conftest import REPO, ConstantFiller, LinearClassifier, photo
from tests.store.test_heatmaps import heatmap, same


def sp_key(seed: int = 0) -> Key:
    return heatmap_key(
        photo(8),
        1,
        LinearClassifier(torch.zeros(3, 8, 8)),
        ConstantFiller(0.5),
        SlidingPatch(3, 1, "stretch", "full", 0.01, 0.333, requires_inpainter=False),
        seed,
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store of three heatmaps, and beside them what is not the store's."""
    root = tmp_path / "heatmaps"
    store = HeatmapStore(root)
    for seed in range(3):
        store.put(sp_key(seed), heatmap(seed))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / f"{'0' * 64}.npz").write_bytes(b"not ours")
    (root / "00").symlink_to(outside)
    path = file_of(root, 0)
    (path.parent / f"{'1' * 64}.npz").symlink_to(outside / f"{'0' * 64}.npz")
    (path.parent / "notes.txt").write_text("mine")
    (root / "readme.txt").write_text("mine")
    return root


def file_of(root: Path, seed: int) -> Path:
    key = sp_key(seed)
    return root / key[:2] / f"{key}.npz"


def aged(path: Path, made: float, used: float) -> None:
    """Set how many days ago a file was made and used."""
    now = time.time()
    os.utime(path, (now - used * DAY, now - made * DAY))


def others(root: Path) -> set[Path]:
    """Return all that is not a heatmap of the store."""
    return {
        path for path in root.parent.rglob("*") if path not in map(file_of, [root] * 3, range(3))
    }


def test_the_list_tells_what_made_the_heatmaps(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--store", str(root)])
    told = " ".join(capsys.readouterr().out.split())
    for part in ("sp patch_size 3", "stride 1", "conftest value 0.5", "3 heatmaps in"):
        assert part in told
    assert len(list(entries(root))) == 3


def test_files_from_before_names_were_kept_are_read_and_listed(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = HeatmapStore(root)
    plain = str(Key.of({"older": 1}))
    store.put(plain, heatmap(7))
    found = store.get(plain)
    assert found is not None
    assert same(found, heatmap(7))
    main(["--store", str(root), "list"])
    assert "(not told)" in capsys.readouterr().out
    main(["--store", str(root), "verify"])


def test_the_list_goes_on_where_a_page_ended(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys, more = [], ["--store", str(root), "list", "--limit=1"]
    while more:
        main(more)
        line, *rest = capsys.readouterr().out.splitlines()
        keys.append(line.partition(" ")[0])
        more = rest[0].partition(" store ")[2].split() if "more: " in "".join(rest) else []
    assert keys == sorted(map(sp_key, range(3)))


def test_many_are_counted_and_none_is_opened(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "FEW", 2)
    monkeypatch.setattr(inventory.archive, "read_about", None)
    main(["--store", str(root)])
    told = capsys.readouterr().out
    assert "3 heatmaps in" in told
    assert "store groups, which opens each file" in told
    main(["--store", str(root), "prune", "--older-than", "5"])
    main(["--store", str(root), "prune", "--all", "--yes"])
    assert "3 files in" in capsys.readouterr().out


def test_what_may_not_be_read_or_deleted_is_told(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(inventory.archive, "read", refuse)
    main(["--store", str(root), "prune", "--corrupt", "--yes"])
    assert "0 files in" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--store", str(root), "verify"])
    assert "0 damaged, 3 cannot be read" in capsys.readouterr().out
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(SystemExit):
        main(["--store", str(root), "prune", "--all", "--yes"])
    assert "3 files could not be deleted, such as" in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["flipped", "empty", "exchanged"])
def test_verify_names_what_is_damaged(
    root: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--store", str(root), "verify"])
    assert capsys.readouterr().out.strip() == f"3 files in {root}: 0 damaged"
    path = file_of(root, 1)
    content = bytearray(path.read_bytes())
    content[120] ^= 1
    other = file_of(root, 2).read_bytes()
    path.write_bytes({"flipped": content, "empty": b"", "exchanged": other}[damage])
    with pytest.raises(SystemExit) as stopped:
        main(["--store", str(root), "verify"])
    assert stopped.value.code == 1
    told = capsys.readouterr().out
    assert f"{path}: " in told
    assert "1 damaged" in told
    before = others(root)
    main(["--store", str(root), "prune", "--corrupt", "--yes"])
    assert [file_of(root, seed).exists() for seed in range(3)] == [True, False, True]
    assert others(root) == before


def test_to_verify_is_not_to_use_and_to_get_is(root: Path) -> None:
    aged(file_of(root, 0), made=9, used=8)
    before = file_of(root, 0).stat()
    main(["--store", str(root), "verify"])
    main(["--store", str(root), "list"])
    after = file_of(root, 0).stat()
    assert (after.st_atime, after.st_mtime) == pytest.approx((before.st_atime, before.st_mtime))
    HeatmapStore(root).get(sp_key(0))
    used = file_of(root, 0).stat()
    assert time.time() - used.st_atime < DAY
    assert used.st_mtime == pytest.approx(before.st_mtime)


@pytest.mark.parametrize(
    ("condition", "gone"),
    [
        (["--older-than", "5"], {0, 1}),
        (["--unused-for", "5"], {0}),
        (["--other-versions"], set()),
        (["--corrupt"], set()),
        (["--all"], {0, 1, 2}),
    ],
)
def test_prune_says_what_it_would_delete_and_deletes_with_yes(
    root: Path, condition: list[str], gone: set[int], capsys: pytest.CaptureFixture[str]
) -> None:
    aged(file_of(root, 0), made=9, used=8)
    aged(file_of(root, 1), made=9, used=1)
    before = others(root)
    main(["--store", str(root), "prune", *condition])
    assert f"{len(gone)} files in" in capsys.readouterr().out
    assert all(file_of(root, seed).exists() for seed in range(3))
    main(["--store", str(root), "prune", *condition, "--yes"])
    assert {seed for seed in range(3) if not file_of(root, seed).exists()} == gone
    assert others(root) == before


def test_other_versions_are_pruned(root: Path) -> None:
    older = Key.of({"version": 0})
    HeatmapStore(root).put(older, heatmap())
    main(["--store", str(root), "prune", "--other-versions", "--yes"])
    assert len(list(entries(root))) == 3
    assert HeatmapStore(root).get(older) is None


def test_unfinished_files_are_left_while_they_may_be_written_to(root: Path) -> None:
    fresh, stale = (file_of(root, 0).with_suffix(f".{c * 32}.tmp") for c in "ab")
    for path in (fresh, stale):
        path.write_bytes(b"half")
    aged(stale, made=1, used=1)
    main(["--store", str(root), "prune", "--corrupt", "--yes"])
    assert fresh.exists()
    assert not stale.exists()
    assert all(file_of(root, seed).exists() for seed in range(3))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--store", "nowhere"], "--store=nowhere: no such folder"),
        (["--store", ".", "prune"], "prune: say what: --older-than"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments: list[str], told: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "genattr.store", *arguments],
        cwd=REPO, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(f"genattr: {told}")
    assert len(done.stderr.splitlines()) == 1
