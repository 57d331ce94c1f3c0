"""Downloads over HTTP into a file, with progress, a maximum size, and continuation of parts."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from genattr.errors import require

if TYPE_CHECKING:
    from requests import Response

PIECE = 1 << 16  # bytes; an incomplete piece is lost


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
        import requests

        held = file.tell()
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={held}-"} if held else {})
        with requests.get(
            self.url, stream=True, timeout=self._timeout, headers=headers
        ) as response:
            if held and not _continues(response, held):
                response.close()
                file.seek(0)
                file.truncate()
                return self._receive(file, name)
            response.raise_for_status()
            self._can_continue = held > 0 or response.headers.get("Accept-Ranges") == "bytes"
            return self._copy(response, file, name)

    def _copy(self, response: Response, file: IO[bytes], name: str) -> None:
        """Append the bytes that the server sends to the file."""
        import requests

        from genattr import console

        received = held = file.tell()
        announced = held + int(response.headers.get("Content-Length", 0))
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
