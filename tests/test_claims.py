"""A folder has one process at a time, and the claim of one that has ended is in nobody's way."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import psutil
import pytest

from genattr import claims, environment
from genattr.errors import UserError

FIRST = claims.NAME.format(1)
ELSEWHERE = "another-host 12 1700000000.0"


@pytest.fixture(autouse=True)
def given_back() -> Iterator[None]:
    yield
    claims.release_all()


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """Another process of this machine."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def name_of(process: subprocess.Popen[bytes]) -> str:
    started = psutil.Process(process.pid).create_time()
    return f"{environment.host()} {process.pid} {started:.1f}"


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_is_refused_while_its_process_works_and_free_after_its_kill(
    tmp_path: Path, other: subprocess.Popen[bytes]
) -> None:
    (tmp_path / FIRST).write_text(name_of(other))
    with pytest.raises(UserError) as refused:
        claims.take(tmp_path, "give another name")
    assert str(refused.value) == (
        f"{tmp_path} is in use by process {other.pid} of {environment.host()}: wait for its end, "
        "or give another name"
    )
    assert left(tmp_path) == [FIRST]
    other.kill()
    other.wait()
    claim = claims.take(tmp_path, "give another name")
    assert left(tmp_path) == [FIRST, claims.NAME.format(2)]
    assert claim.file.read_text() == environment.process()
    claim.release()
    assert left(tmp_path) == []


def test_a_claim_is_given_back_whatever_happens(tmp_path: Path) -> None:
    with suppress(ValueError), claims.held(tmp_path / "new", ""):
        assert left(tmp_path / "new") == [FIRST]
        raise ValueError
    assert left(tmp_path / "new") == []


def test_a_claim_of_another_machine_counts_as_long_as_it_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "SILENCE", 1.5)
    place = tmp_path / FIRST
    place.write_text(ELSEWHERE)
    mover = Thread(target=lambda: [time.sleep(0.3), os.utime(place)])
    mover.start()
    with pytest.raises(UserError, match="in use by process 12 of another-host: wait for its end"):
        claims.take(tmp_path, "")
    mover.join()
    claims.take(tmp_path, "")  # nothing moves it any more
    assert left(tmp_path) == [FIRST, claims.NAME.format(2)]


def test_a_file_system_without_links_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    claims.take(tmp_path, "")
    assert (tmp_path / FIRST).read_text() == environment.process()
    with pytest.raises(UserError, match="is in use"):
        claims.take(tmp_path, "")


def test_a_folder_where_nothing_can_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/in: Not a directory: give another name"):
        claims.take(tmp_path / "file" / "in", "give another name")


def test_of_many_processes_one_gets_a_folder_whose_process_was_killed(tmp_path: Path) -> None:
    (tmp_path / FIRST).write_text(f"{environment.host()} {2**22 + 1} 1.0")
    readers = []
    for _ in range(8):
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.close(reader)
            _contend(tmp_path, writer)
        os.close(writer)
        readers.append(os.fdopen(reader, "rb"))
    assert sorted(reader.read() for reader in readers) == [b"got"] + [b"refused"] * 7
    for _ in readers:
        os.wait()


def _contend(folder: Path, writer: int) -> None:
    """In one of several processes: claim the folder, and have it until the others have tried."""
    try:
        claims.take(folder, "")
        os.write(writer, b"got")
        time.sleep(1)
    except UserError:
        os.write(writer, b"refused")
    finally:
        os._exit(0)


def test_a_folder_that_is_there_gets_a_number_behind_its_name(tmp_path: Path) -> None:
    made = [claims.new_folder(tmp_path / "runs" / "12-00-00").name for _ in range(3)]
    assert made == ["12-00-00", "12-00-00_2", "12-00-00_3"]
