"""A download that breaks off is continued where it stopped, and checked as a whole."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from genattr.assets.download import NotFetchedError, fetch
from genattr.assets.http import PIECE
from genattr.errors import UserError
from tests.servers import CONTENT, QUICK, Server, hang, left_in, not_found, send, send_range

PART = ".net.pth.part"
STOP = 10 * PIECE


def break_off(handler: BaseHTTPRequestHandler) -> None:
    send_range(handler, stop=STOP)


def hang_midway(handler: BaseHTTPRequestHandler) -> None:
    break_off(handler)
    hang(handler)


@pytest.fixture
def part(server: Server, cache: Path) -> Path:
    """Let a download break off, so that a part of it is there."""
    server.answer = break_off
    with pytest.raises(NotFetchedError, match=r"\(the connection broke off\): put the file"):
        fetch(server.file(), QUICK)
    assert left_in(cache) == [PART]
    assert (cache / PART).read_bytes() == CONTENT[:STOP]
    server.answer = send_range
    return cache / PART


def test_it_goes_on_where_it_stopped(server: Server, cache: Path, part: Path) -> None:
    assert fetch(server.file()).read_bytes() == CONTENT
    assert left_in(cache) == ["net.pth"]
    assert server.ranges == [None, f"bytes={STOP}-"]


def test_it_may_break_off_many_times(server: Server, cache: Path) -> None:
    for stop in (PIECE, 2 * PIECE + 9, 7 * PIECE):
        server.answer = lambda handler, stop=stop: send_range(handler, stop=stop)
        with pytest.raises(NotFetchedError, match="broke off"):
            fetch(server.file(), QUICK)
    server.answer = send_range
    assert fetch(server.file()).read_bytes() == CONTENT
    assert server.ranges == [None, *(f"bytes={n * PIECE}-" for n in (1, 2, 7))]


def test_it_goes_on_after_a_silence(server: Server, cache: Path) -> None:
    server.answer = hang_midway
    with pytest.raises(NotFetchedError, match="no answer in time"):
        fetch(server.file(), QUICK)
    server.answer = send_range
    assert fetch(server.file()).read_bytes() == CONTENT
    assert len(server.ranges) == 2
    assert server.ranges[1] is not None


@pytest.mark.parametrize("answer", [not_found, hang])
def test_a_failure_in_between_loses_nothing(
    server: Server, cache: Path, part: Path, answer: object
) -> None:
    server.answer = answer
    with pytest.raises(NotFetchedError):
        fetch(server.file(), QUICK)
    assert part.read_bytes() == CONTENT[:STOP]
    assert left_in(cache) == [PART]


def test_a_server_that_forgot_ranges_sends_all_again(
    server: Server, cache: Path, part: Path
) -> None:
    server.answer = send
    assert fetch(server.file()).read_bytes() == CONTENT
    assert left_in(cache) == ["net.pth"]


@pytest.mark.parametrize("held", [len(CONTENT), len(CONTENT) + 5])
def test_a_part_with_nothing_left_to_fetch_is_begun_anew(
    server: Server, cache: Path, part: Path, held: int
) -> None:
    part.write_bytes(bytes(held))
    assert fetch(server.file()).read_bytes() == CONTENT
    assert server.ranges[1:] == [f"bytes={held}-", None]


def test_an_answer_from_elsewhere_in_the_file_is_not_appended(
    server: Server, cache: Path, part: Path
) -> None:
    def shifted(handler: BaseHTTPRequestHandler) -> None:
        if "Range" not in handler.headers:
            send(handler)
            return
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes 5-{len(CONTENT) - 1}/{len(CONTENT)}")
        handler.send_header("Content-Length", str(len(CONTENT) - 5))
        handler.end_headers()
        handler.wfile.write(CONTENT[5:])

    server.answer = shifted
    assert fetch(server.file()).read_bytes() == CONTENT


def test_a_part_of_another_file_is_found_out_and_dropped(
    server: Server, cache: Path, part: Path
) -> None:
    part.write_bytes(bytes(STOP))
    with pytest.raises(UserError, match="gives not the expected file"):
        fetch(server.file())
    assert left_in(cache) == []
    assert fetch(server.file()).read_bytes() == CONTENT


def test_what_is_too_large_is_dropped(server: Server, cache: Path, part: Path) -> None:
    with pytest.raises(UserError, match="larger than the 1000000 bytes"):
        fetch(server.file(max_bytes=1_000_000))
    assert left_in(cache) == []


def test_without_a_known_hash_nothing_is_put_together(server: Server, cache: Path) -> None:
    server.answer = break_off
    with pytest.raises(NotFetchedError, match="broke off"):
        fetch(server.file(sha256=None), QUICK)
    assert left_in(cache) == []


def test_only_one_of_two_goes_on(server: Server, cache: Path, part: Path) -> None:
    both, found = threading.Barrier(2), []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        both.wait(30)
        send_range(handler)

    server.answer = answer
    threads = [
        threading.Thread(target=lambda: found.append(fetch(server.file()).read_bytes()))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [CONTENT, CONTENT]
    assert sorted(server.ranges[1:], key=str) == [None, f"bytes={STOP}-"]
    assert left_in(cache) == ["net.pth"]
