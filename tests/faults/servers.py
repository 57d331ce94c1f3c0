"""A tracking server, and a switch in front of it that lets it go away."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import requests

VERBS = (b"GET ", b"POST ", b"PUT ", b"PATCH ", b"DELETE ")
PASS, REFUSE, HANG = "pass", "refuse", "hang"


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def serve(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Start MLflow's server on a database in a folder."""
    words = [
        "--backend-store-uri", f"sqlite:///{folder}/server.db", "--port", str(port),
        "--artifacts-destination", str(folder / "artifacts"), "--workers", "1",
    ]  # fmt: skip
    started = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
    )
    for _ in range(600):
        try:
            requests.get(f"http://127.0.0.1:{port}/health", timeout=1)
        except requests.RequestException:
            time.sleep(0.2)
        else:
            return started
    raise AssertionError("the server did not start")


def end(server: subprocess.Popen[bytes]) -> None:
    """Kill a server with its workers."""
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


class Switch:
    """Passes requests on to a server, until it does something else with all that follow.

    Parameters
    ----------
    port
        The server's.
    after
        How many requests are passed on.
    then
        ``REFUSE``, ``HANG``, or a status such as 401 that is answered.

    Attributes
    ----------
    url
        Its own.
    seen
        The first lines of all requests.
    """

    def __init__(self, port: int, after: int = sys.maxsize, then: str = REFUSE) -> None:
        self._port, self._after, self._then = port, after, then
        self.seen: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def on(self) -> None:
        """Pass everything on again."""
        self._after = sys.maxsize

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(("127.0.0.1", self._port)) as end:
            threading.Thread(target=_pass_back, args=(end, client), daemon=True).start()
            while data := client.recv(65536):
                if data.startswith(VERBS):
                    self.seen.append(data.split(b"\r\n")[0].decode())
                if len(self.seen) > self._after:
                    self._fail(client)
                    return
                end.sendall(data)

    def _fail(self, client: socket.socket) -> None:
        if self._then == HANG:
            time.sleep(600)
        elif self._then != REFUSE:
            head = f"HTTP/1.1 {self._then} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            client.sendall(head.encode())


def _pass_back(server: socket.socket, client: socket.socket) -> None:
    with suppress(OSError):
        while data := server.recv(65536):
            client.sendall(data)
        client.shutdown(socket.SHUT_WR)
