"""Downloads from a server on this machine: what comes through, what is refused, what remains."""

from __future__ import annotations

import hashlib
import json
import logging
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from genattr.assets.download import RemoteFile, cache_folder, fetch
from genattr.errors import UserError
from tests.conftest import REPO
from tests.servers import CONTENT, QUICK, SHA256, Server, hang, left_in, not_found, send


def test_a_good_file_arrives_once(
    server: Server, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "genattr"):
        path = fetch(server.file())
    assert path == cache / "net.pth"
    assert path.read_bytes() == CONTENT
    assert "license: CC BY" in caplog.text
    assert "unverified" not in caplog.text
    assert fetch(server.file()) == path
    assert server.asked == ["/models/net.pth"]
    assert left_in(cache) == ["net.pth"]


@pytest.mark.parametrize("digits", [8, 64])
def test_the_first_digits_of_a_hash_are_enough(server: Server, cache: Path, digits: int) -> None:
    assert fetch(server.file(sha256=SHA256[:digits])).is_file()


@pytest.mark.parametrize(
    "sha256", ["", SHA256[:7], SHA256 + "0", SHA256[:8].upper() + "G", "0x123456"]
)
def test_what_is_no_hash_is_refused(server: Server, sha256: str) -> None:
    with pytest.raises(UserError, match=f"^sha256={sha256} of {server.url}.*: must be 8 to 64 of"):
        server.file(sha256=sha256)


def hang_midway(handler: BaseHTTPRequestHandler) -> None:
    send(handler, CONTENT[:1000], announced=len(CONTENT))
    time.sleep(1)


def truncate(handler: BaseHTTPRequestHandler) -> None:
    send(handler, CONTENT[:-1], announced=len(CONTENT))


@pytest.mark.parametrize("sha256", [SHA256, None], ids=["known", "unknown"])
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (not_found, "HTTP 404"),
        (hang, "no answer in time"),
        (hang_midway, "no answer in time"),
        (truncate, "the connection broke off"),
    ],
)
def test_a_failure_says_what_from_where_to_where(
    server: Server, cache: Path, answer: object, why: str, sha256: str | None
) -> None:
    server.answer = answer
    with pytest.raises(UserError) as caught:
        fetch(server.file(sha256=sha256), QUICK)
    assert str(caught.value) == (
        f"net.pth could not be fetched ({why}): put the file from {server.url}/models/net.pth "
        f"at {cache / 'net.pth'} (license: CC BY)"
    )
    assert left_in(cache) == []


def test_nobody_answers(cache: Path) -> None:
    remote = RemoteFile("http://127.0.0.1:1/net.pth", SHA256, "CC BY", 10)
    with pytest.raises(UserError, match=r"net\.pth could not be fetched \(no connection\): put"):
        fetch(remote, QUICK)
    assert left_in(cache) == []


def test_a_flipped_byte_is_refused(server: Server, cache: Path) -> None:
    flipped = bytes([CONTENT[0] ^ 1]) + CONTENT[1:]
    server.answer = lambda handler: send(handler, flipped)
    found = hashlib.sha256(flipped).hexdigest()[:12]
    with pytest.raises(UserError, match=f"gives not the expected file: sha256 {found}….*belongs"):
        fetch(server.file())
    assert left_in(cache) == []


@pytest.mark.parametrize("announced", [-1, None], ids=["announced", "unannounced"])
def test_a_file_over_the_cap_is_refused(server: Server, cache: Path, announced: int | None) -> None:
    server.answer = lambda handler: send(handler, announced=announced)
    with pytest.raises(UserError, match=r"larger than the 1000000 bytes that net\.pth may"):
        fetch(server.file(max_bytes=1_000_000))
    assert left_in(cache) == []


def test_an_unverified_file_is_recorded_and_then_held_to_it(
    server: Server, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    remote = server.file(sha256=None)
    path = fetch(remote)
    assert "net.pth is unverified: no official hash is known" in caplog.text
    assert f"must have sha256 {SHA256}" in caplog.text
    assert json.loads((cache / "net.pth.json").read_text()) == {
        "url": remote.url,
        "sha256": SHA256,
        "bytes": len(CONTENT),
    }
    caplog.clear()
    assert fetch(remote) == path
    assert "unverified" not in caplog.text
    path.write_bytes(b"other")
    with pytest.raises(UserError, match=r"net\.pth is not the expected file.*as at first use"):
        fetch(remote)
    path.unlink()
    server.answer = lambda handler: send(handler, b"other")
    with pytest.raises(UserError, match=r"gives not the expected file.*delete .*net\.pth\.json"):
        fetch(remote)
    assert left_in(cache) == ["net.pth.json"]


@pytest.mark.parametrize("sha256", [SHA256, None], ids=["known", "unknown"])
def test_a_file_placed_by_hand_is_checked_without_the_network(
    server: Server, cache: Path, sha256: str | None
) -> None:
    cache.mkdir()
    (cache / "net.pth").write_bytes(CONTENT)
    remote = server.file(sha256=sha256)
    assert fetch(remote) == cache / "net.pth"
    (cache / "net.pth").write_bytes(CONTENT[:-1])
    with pytest.raises(UserError, match=f"{cache}/net.pth is not the expected file"):
        fetch(remote)
    assert (cache / "net.pth").read_bytes() == CONTENT[:-1]
    assert server.asked == []


def test_two_processes_at_once_do_no_harm(server: Server, cache: Path) -> None:
    both = threading.Barrier(2)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        both.wait(30)  # neither gets the file before both have asked for it
        send(handler)

    server.answer = answer
    code = f"from genattr.assets.download import *; fetch({server.file(sha256=None)!r})"
    processes = [subprocess.Popen([sys.executable, "-c", code], cwd=REPO) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert (cache / "net.pth").read_bytes() == CONTENT
    assert left_in(cache) == ["net.pth", "net.pth.json"]
    assert len(server.asked) == 2


@pytest.mark.parametrize("end", ["", "..", "%2e%2e", ".hidden", "a%5Cb", "C%3Ax", "a%00b", "%2F"])
def test_an_unsafe_name_is_refused(server: Server, cache: Path, end: str) -> None:
    with pytest.raises(UserError, match="no usable file name at its end"):
        fetch(server.file(url=f"{server.url}/models/{end}"))
    assert server.asked == []


def test_a_path_in_a_name_never_leaves_the_cache(server: Server, cache: Path) -> None:
    path = fetch(server.file(url=f"{server.url}/models/..%2F..%2Fnet.pth?as=../other"))
    assert path == cache / "net.pth"
    assert left_in(cache.parent) == ["cache"]


def test_a_damaged_record_is_named(server: Server, cache: Path) -> None:
    fetch(server.file(sha256=None))
    (cache / "net.pth.json").write_text("[]")
    with pytest.raises(UserError, match=r"net\.pth\.json is damaged"):
        fetch(server.file(sha256=None))


def test_the_folder_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENATTR_CACHE", raising=False)
    assert cache_folder() == Path.home() / ".cache" / "genattr"
