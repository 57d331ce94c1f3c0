"""Downloads over HTTP into a file, with progress, a maximum size, and continuation of parts."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import IO, TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from genattr.assets import hosts
from genattr.errors import require

if TYPE_CHECKING:
    from requests import Response

DIGITS = 16  # of a usable length
LEAPS = 5  # how often a download may be sent on
PIECE = 1 << 16  # bytes; an incomplete piece is lost
CONNECTED = 2.5  # seconds in which a connection is there, or never
ANSWERED = 15.0  # further seconds for a first answer: connections may be slow


@contextmanager
def temporary(path: Path) -> Iterator[Path]:
    """Make an empty file beside the path; it is deleted at the end unless it was renamed."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


class Transfer:
    """One attempt to download a file.

    Parameters
    ----------
    url
        Its address.
    path
        Target: a file that nobody else writes to.
    max_bytes
        A longer file is refused.
    part
        Where an earlier attempt kept its bytes, and where this one keeps them if it is interrupted
        and the server can continue. None: nothing guarantees that both belong to the same file.
    timeout
        Seconds to wait for a connection, and for the next piece.
    """

    def __init__(
        self, url: str, path: Path, max_bytes: int, part: Path | None, timeout: tuple[float, float]
    ) -> None:
        self.url, self.path, self.max_bytes, self.part = url, path, max_bytes, part
        self._timeout = timeout
        self._can_continue = False

    def run(self, name: str) -> None:
        """Download the file, showing progress under a name.

        Raises
        ------
        UserError
            If it is too large.
        requests.RequestException, OSError
            If it cannot be downloaded.
        """
        self._take_up()
        try:
            with self.path.open("ab") as file:
                self._receive(file, name)
        except (OSError, KeyboardInterrupt):  # those of requests are OSErrors
            if self.part and self._can_continue:
                os.replace(self.path, self.part)
            raise

    def _take_up(self) -> None:
        """Take over the bytes of an earlier attempt; only one of several processes can."""
        if self.part:
            with suppress(FileNotFoundError):
                os.replace(self.part, self.path)
                self._can_continue = True

    def _receive(self, file: IO[bytes], name: str) -> None:
        held = file.tell()
        with self._ask_for({"Range": f"bytes={held}-"} if held else {}) as response:
            if held and not _continues(response, held):
                response.close()
                file.seek(0)
                file.truncate()
                return self._receive(file, name)
            response.raise_for_status()
            self._can_continue = held > 0 or response.headers.get("Accept-Ranges") == "bytes"
            return self._copy(response, file, name)

    def _ask_for(self, headers: Mapping[str, str]) -> Response:
        """Ask the address, and those that it is sent on to if they may be asked."""
        import requests

        url = self.url
        for _ in range(LEAPS):
            hosts.check(url, self.url)
            response = requests.get(
                url,
                stream=True,
                timeout=self._timeout,
                headers={"Accept-Encoding": "identity", **headers},
                allow_redirects=False,
            )
            if not response.is_redirect:
                return response
            response.close()
            url = urljoin(url, response.headers["Location"])
        raise hosts.RefusedError("it is sent on again and again")

    def _copy(self, response: Response, file: IO[bytes], name: str) -> None:
        """Append the bytes that the server sends to the file."""
        import requests

        from genattr import console

        received = held = file.tell()
        announced = held + _announced(response)
        self._check_size(announced, name)
        with console.fetching(name, announced if announced > held else None) as advance:
            advance(held)
            for piece in response.iter_content(PIECE):
                received += len(piece)
                self._check_size(received, name)
                file.write(piece)
                advance(len(piece))
        if received < announced:
            raise requests.ConnectionError(f"it ended after {received} of {announced} bytes")

    def _check_size(self, size: int, name: str) -> None:
        require(
            size <= self.max_bytes,
            f"{self.url} is larger than the {self.max_bytes} bytes that {name} may have",
        )


def connects(url: str) -> bool:
    """Whether a connection to a server, or to the proxy on the way to it, is there in 2.5 s.

    Neither a firewall that drops packets nor a resolver that is silent makes anyone wait longer.
    """
    return _Asked(lambda: _connect(url)).after(CONNECTED) is True


def answers(url: str) -> bool:
    """Whether a server answers; one that is slow has 15 s, and a line says so."""
    if not connects(url):
        return False
    answer = _Asked(lambda: _ask(url))
    if answer.after(CONNECTED) is None:
        from genattr import console

        console.say(f"{url} is slow to answer: waiting up to {ANSWERED:.0f} s more")
    return answer.after(ANSWERED) is True


class _Asked:
    """A question that a thread asks, so that nobody has to wait for the answer.

    Parameters
    ----------
    question
        Its errors, which are those of connections, mean no.
    """

    def __init__(self, question: Callable[[], object]) -> None:
        self._answer: bool | None = None
        self._question = question
        self._thread = Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        try:
            self._question()
            self._answer = True
        except OSError:  # those of requests are too
            self._answer = False

    def after(self, seconds: float) -> bool | None:
        """Return the answer if it is there in so many seconds; else None."""
        self._thread.join(seconds)
        return self._answer


def _connect(url: str) -> None:
    """Connect to a server or its proxy, and hang up; OSError if that is impossible."""
    from requests.utils import get_environ_proxies, select_proxy

    first = urlsplit(select_proxy(url, get_environ_proxies(url)) or url)
    port = first.port or (443 if first.scheme == "https" else 80)
    socket.create_connection((str(first.hostname), port), CONNECTED).close()


def _ask(url: str) -> None:
    import requests

    requests.head(url, timeout=(ANSWERED, ANSWERED)).close()


def _announced(response: Response) -> int:
    """Return how many bytes a response says that it has; 0 where it says nothing usable."""
    coding = response.headers.get("Content-Encoding", "identity")
    if coding != "identity":
        raise hosts.RefusedError(f"it comes in the coding {coding}, which was not asked for")
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() and len(length) < DIGITS else 0


def _continues(response: Response, held: int) -> bool:
    """Whether a response starts after the bytes that are held; other errors count as yes."""
    if response.status_code in (200, 416):
        return False
    begins = response.headers.get("Content-Range", "").startswith(f"bytes {held}-")
    return begins or response.status_code != 206


def reason(error: Exception) -> str:
    """Return a short reason why a transfer failed."""
    import requests

    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP {response.status_code}"
    if isinstance(error, requests.Timeout) or "timed out" in str(error).lower():
        return "no answer in time"
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return "no connection" if "Max retries" in str(error) else "the connection broke off"
    return str(error) or type(error).__name__
