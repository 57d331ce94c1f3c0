"""Downloads go over TLS, and to the hosts of the configuration alone."""

from __future__ import annotations

import gzip
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from genattr.assets import hosts
from genattr.assets.download import NotFetchedError, RemoteFile, fetch
from tests.servers import CONTENT, QUICK, SHA256, Server, left_in, send

GITHUB = "https://github.com/o/r/releases/download/v1/net.pt"


@pytest.mark.parametrize(
    ("url", "first"),
    [
        (GITHUB, GITHUB),
        ("https://objects.githubusercontent.com/x", GITHUB),
        ("http://127.0.0.1:80/net.pt", "http://127.0.0.1:80/net.pt"),
        ("http://[::1]/net.pt", "http://[::1]/net.pt"),
        ("http://localhost:8000/net.pt", "http://localhost/net.pt"),
    ],
)
def test_what_may_be_asked(url: str, first: str) -> None:
    hosts.check(url, first)


@pytest.mark.parametrize(
    ("url", "first", "told"),
    [
        ("http://example.org/net.pt", "http://example.org/net.pt", "example.org gives it without"),
        ("ftp://127.0.0.1/net.pt", "ftp://127.0.0.1/net.pt", "127.0.0.1 gives it without TLS"),
        ("file:///etc/passwd", "file:///etc/passwd", " gives it without TLS"),
        ("http://github.com/x", GITHUB, "github.com gives it without TLS"),
        ("https://example.org/x", GITHUB, "it is sent on to example.org, which conf/hosts.yaml"),
        ("https://github.com.example.org/x", GITHUB, "sent on to github.com.example.org"),
        ("https://github.com@example.org/x", GITHUB, "sent on to example.org"),
        ("http://127.0.0.1/x", GITHUB, "sent on to 127.0.0.1"),
        ("http://127.0.0.1.example.org/x", "http://127.0.0.1.example.org/x", "without TLS"),
    ],
)
def test_what_may_not(url: str, first: str, told: str) -> None:
    with pytest.raises(hosts.RefusedError, match=told):
        hosts.check(url, first)


def test_without_tls_the_line_says_where_the_file_is_put(cache: Path) -> None:
    remote = RemoteFile("http://places2.csail.mit.edu/net.tar", None, "CC BY", 10)
    with pytest.raises(NotFetchedError) as caught:
        fetch(remote)
    assert str(caught.value) == (
        "net.tar could not be fetched (places2.csail.mit.edu gives it without TLS, so that anyone "
        "on the way can change it): put the file from http://places2.csail.mit.edu/net.tar at "
        f"{cache}/net.tar (license: CC BY)"
    )
    assert left_in(cache) == []


def redirect(handler: BaseHTTPRequestHandler, to: str) -> None:
    handler.send_response(302)
    handler.send_header("Location", to)
    handler.end_headers()


def test_a_redirect_on_the_same_host_is_followed(server: Server, cache: Path) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/elsewhere":
            send(handler)
        else:
            redirect(handler, "/elsewhere")

    server.answer = answer
    assert fetch(server.file()).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("to", "why"),
    [
        ("http://example.org/net.pth", "it is sent on to example.org"),
        ("https://example.org/net.pth", "it is sent on to example.org"),
        ("file:///etc/passwd", "it is sent on to"),
        ("/models/net.pth", "it is sent on again and again"),
    ],
)
def test_other_redirects_are_refused(server: Server, cache: Path, to: str, why: str) -> None:
    server.answer = lambda handler: redirect(handler, to)
    with pytest.raises(NotFetchedError, match=rf"net\.pth could not be fetched \({why}"):
        fetch(server.file(), QUICK)
    assert left_in(cache) == []


@pytest.mark.parametrize("length", ["many", "-5", "9" * 5000])
def test_a_length_that_is_none_is_no_matter(server: Server, cache: Path, length: str) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", length)
        handler.end_headers()
        handler.wfile.write(CONTENT)

    server.answer = answer
    assert fetch(server.file()).read_bytes() == CONTENT


def test_what_comes_compressed_is_refused(server: Server, cache: Path) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.end_headers()
        handler.wfile.write(gzip.compress(b"\0" * 10_000_000))

    server.answer = answer
    with pytest.raises(NotFetchedError, match=r"\(it comes in the coding gzip, which was not"):
        fetch(server.file(sha256=SHA256))
    assert left_in(cache) == []
