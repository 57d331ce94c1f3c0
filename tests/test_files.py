"""Files that come whole or not at all, and what is told where a disk does not take them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch

from genattr.errors import FaultError, UserError, in_one_line, obstacle, one_line_errors
from genattr.files import expanded, replaced, together, try_folder, write_text, writing
from genattr.stopping import keeping
from tests.conftest import REPO

NUMBERS = [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS]


def half_written(path: Path, number: int) -> None:
    with replaced(path) as temporary:
        temporary.write_text("half")
        raise OSError(number, os.strerror(number))


def half_filled(folder: Path) -> None:
    with together(folder) as place:
        (place / "a").write_text("other")
        raise OSError(errno.ENOSPC, "")


@pytest.mark.parametrize("number", NUMBERS)
def test_what_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path: Path, number: int) -> None:
    write_text(tmp_path / "a", "before")
    with pytest.raises(FaultError, match=rf"^{tmp_path}/a cannot be written: "):
        half_written(tmp_path / "a", number)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


def test_files_come_together_or_not_at_all(tmp_path: Path) -> None:
    with together(tmp_path) as place:
        (place / "a").write_text("a")
        (place / "b").write_text("b")
    with pytest.raises(FaultError):
        half_filled(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "a", "b": "b"}


def test_other_errors_stay_as_they_are(tmp_path: Path) -> None:
    for error in (ValueError("no"), FileNotFoundError(errno.ENOENT, "no"), UserError("no")):
        with pytest.raises(type(error)), writing(tmp_path):
            raise error


def test_libraries_that_hide_the_cause_are_seen_through() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    opened = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115, its closing is torch's
    with pytest.raises((OSError, RuntimeError)) as caught:
        torch.save(torch.zeros(100_000), opened)
    assert "no room left" in str(obstacle(caught.value))
    rust = Exception("I/O error: No space left on device (os error 28)")
    sqlite = Exception("(sqlite3.OperationalError) database or disk is full")
    assert obstacle(rust) == obstacle(sqlite) == obstacle(OSError(errno.ENOSPC, ""))
    assert obstacle(Exception("anything else")) is None


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "", "/there"),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
    ],
)
def test_faults_end_in_one_line_with_what_is_kept(error: Exception) -> None:
    with pytest.raises(SystemExit) as ended, one_line_errors(), keeping(lambda: "3 are kept"):
        raise error
    assert str(ended.value).startswith("genattr: ")
    assert str(ended.value).endswith("; 3 are kept")
    assert "\n" not in in_one_line(error)


def test_a_folder_is_tried_without_a_trace(tmp_path: Path) -> None:
    try_folder("store", tmp_path / "new" / "one")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    for name in ("file/in", "x" * 300):
        with pytest.raises(UserError, match=r"^store=.*: nothing can be written there: "):
            try_folder("store", tmp_path / name)
    for address in ("s3://bucket/x", "file:///x"):
        with pytest.raises(UserError, match=r": name a folder of this machine$"):
            try_folder("store", tmp_path / address)


def test_a_home_is_taken_from_one_place_which_never_fails() -> None:
    assert expanded("~nobody-at-all/x") == Path("~nobody-at-all/x")
    asking = [file for file in (REPO / "genattr").rglob("*.py") if "expanduser" in file.read_text()]
    assert sorted(file.name for file in asking) == ["download.py", "files.py"]
