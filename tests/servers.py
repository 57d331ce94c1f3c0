"""A server on this machine that answers as a test wants it to."""

from __future__ import annotations

import hashlib
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from genattr.assets.download import RemoteFile

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
QUICK = (1.0, 0.3)  # seconds to connect, and from one piece to the next


@dataclass
class Server:
    """What it answers with, and the paths and ranges that it was asked for."""

    url: str
    answer: Callable[[BaseHTTPRequestHandler], None]
    asked: list[str] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)

    def file(self, **changes: object) -> RemoteFile:
        """Return a file of it."""
        values = {"url": f"{self.url}/models/net.pth", "sha256": SHA256, "license": "CC BY"}
        return RemoteFile(**(values | {"max_bytes": 2_000_000} | changes))


def send(
    handler: BaseHTTPRequestHandler, content: bytes = CONTENT, announced: int | None = -1
) -> None:
    """Answer with all of a file, without a word about ranges."""
    handler.send_response(200)
    if announced is not None:
        handler.send_header("Content-Length", str(len(content) if announced < 0 else announced))
    handler.end_headers()
    handler.wfile.write(content)


def send_range(
    handler: BaseHTTPRequestHandler, content: bytes = CONTENT, stop: int | None = None
) -> None:
    """Answer with what was asked for, as servers do that know ranges; break off at ``stop``."""
    asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    start = int(asked[1]) if asked else 0
    if asked and start >= len(content):
        handler.send_error(416)
        return
    handler.send_response(206 if asked else 200)
    handler.send_header("Accept-Ranges", "bytes")
    handler.send_header("Content-Length", str(len(content) - start))
    if asked:
        handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    handler.end_headers()
    handler.wfile.write(content[start:stop])


def not_found(handler: BaseHTTPRequestHandler) -> None:
    handler.send_error(404)


def hang(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(1)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENATTR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            state.ranges.append(self.headers.get("Range"))
            state.answer(self)

        do_HEAD = do_GET  # noqa: N815, of the library

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass  # a client that hangs up is part of the game

    http = Quiet(("127.0.0.1", 0), Handler)
    state = Server(f"http://127.0.0.1:{http.server_port}", send)
    threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True).start()
    yield state
    http.shutdown()
    http.server_close()


def free_port() -> int:
    """Return a port of this machine that nobody listens to."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    """Wait until a process listens to a port of this machine."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, f"{process.args} ended with {process.returncode}"
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.2)
    raise AssertionError(f"{process.args} does not listen to {port}")


def left_in(folder: Path) -> list[str]:
    """Return the names of a folder's files, if there is one."""
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
