"""Files from the network: fetched once, checked always, never half there.

A file lands in one folder, ``GENATTR_CACHE`` or ``~/.cache/genattr``, under the last part of its
address. A user without a network may put it there by hand; it is checked the same way.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from genattr.errors import UserError, require

log = logging.getLogger(__name__)
TIMEOUT = (10.0, 30.0)  # seconds to connect, and from one piece to the next
PIECE = 1 << 18  # bytes


@dataclass(frozen=True)
class RemoteFile:
    """A file at an address.

    Parameters
    ----------
    url
        http or https; its last part names the file.
    sha256
        Hash that the file must have, or 8 and more of its first digits. None: no official one is
        known, so the hash is recorded at first use, and any other is refused from then on.
    license
        License of the content, told when it is fetched.
    max_bytes
        A longer file is refused.
    """

    url: str
    sha256: str | None
    license: str
    max_bytes: int

    def __post_init__(self) -> None:
        require(
            self.sha256 is None or re.fullmatch("[0-9a-f]{8,64}", self.sha256) is not None,
            f"sha256={self.sha256} of {self.url}: must be 8 to 64 of the digits 0-9 and a-f, or "
            "null where no hash is known",
        )

    @property
    def name(self) -> str:
        """The file's name: plain, so that it cannot leave the cache folder."""
        name = unquote(urlsplit(self.url).path).rpartition("/")[2]
        require(
            re.fullmatch(r"\w[\w.+-]*", name, re.ASCII) is not None,
            f"{self.url}: no usable file name at its end",
        )
        return name

    @property
    def path(self) -> Path:
        """Where the file is, or must be put."""
        return cache_folder() / self.name

    @property
    def record(self) -> Path:
        """Where the hash is kept that a file without an official one had at first use."""
        return cache_folder() / f"{self.name}.json"


def cache_folder() -> Path:
    """Return the folder of fetched files: ``GENATTR_CACHE``, or ``~/.cache/genattr``."""
    return Path(os.environ.get("GENATTR_CACHE") or "~/.cache/genattr").expanduser().absolute()


def fetch(remote: RemoteFile, timeout: tuple[float, float] = TIMEOUT) -> Path:
    """Return the file, fetched unless it is there already, after checking its hash.

    Parameters
    ----------
    timeout
        Seconds to wait for a connection, and for the next piece.

    Raises
    ------
    UserError
        If it cannot be fetched (which file, from where, to where), is too large, or is not the
        expected file. Nothing is left behind then.
    """
    path = remote.path
    if not path.is_file():
        _download(remote, timeout)
    else:
        _check(remote, path, _sha256(path))
    return path


def _download(remote: RemoteFile, timeout: tuple[float, float]) -> None:
    """Write to a temporary file beside the path, check, rename: others see all of it or none."""
    import requests

    log.info(
        "fetching %s (license: %s) from %s to %s",
        remote.name,
        remote.license,
        remote.url,
        remote.path.parent,
    )
    try:
        remote.path.parent.mkdir(parents=True, exist_ok=True)
        with _temporary(remote.path) as (file, temporary):
            found = _stream(remote, file, timeout)
            _check(remote, temporary, found)
            os.replace(temporary, remote.path)
    except (requests.RequestException, OSError) as error:
        raise UserError(
            f"{remote.name} could not be fetched ({_reason(error)}): put the file from "
            f"{remote.url} at {remote.path} (license: {remote.license})"
        ) from error


@contextmanager
def _temporary(path: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """Open a new file beside the path; whatever happens, it is gone or renamed afterwards."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file, Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _stream(remote: RemoteFile, file: IO[bytes], timeout: tuple[float, float]) -> str:
    """Copy the file from the network, showing progress; return its hash."""
    import requests

    from genattr import console

    digest, received = hashlib.sha256(), 0
    identity = {"Accept-Encoding": "identity"}
    with requests.get(remote.url, stream=True, timeout=timeout, headers=identity) as response:
        response.raise_for_status()
        announced = int(response.headers.get("Content-Length", 0))
        _check_size(remote, announced)
        with console.fetching(remote.name, announced or None) as advance:
            for piece in response.iter_content(PIECE):
                received += len(piece)
                _check_size(remote, received)
                digest.update(piece)
                file.write(piece)
                advance(len(piece))
    if received < announced:
        raise requests.ConnectionError(f"it ended after {received} of {announced} bytes")
    file.flush()
    return digest.hexdigest()


def _check_size(remote: RemoteFile, size: int) -> None:
    require(
        size <= remote.max_bytes,
        f"{remote.url} is larger than the {remote.max_bytes} bytes that {remote.name} may have",
    )


def _check(remote: RemoteFile, file: Path, found: str) -> None:
    """Compare a file's hash with the official one, or with the one recorded at first use."""
    expected, origin = remote.sha256, ""
    if expected is None:
        expected = _recorded(remote)
        origin = f" as at first use (delete {remote.record} to trust another)"
    if expected is None:
        _trust(remote, file, found)
        return
    if found.startswith(expected):
        return
    what = f"{file} is" if file == remote.path else f"{remote.url} gives"
    raise UserError(
        f"{what} not the expected file: sha256 {found[:12]}…, not {expected[:12]}…{origin}; "
        f"the right one belongs at {remote.path}"
    )


def _recorded(remote: RemoteFile) -> str | None:
    try:
        record: dict[str, Any] = json.loads(remote.record.read_text(encoding="utf-8"))
        return str(record["sha256"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{remote.record} is damaged: delete it to trust {remote.name}") from error


def _trust(remote: RemoteFile, file: Path, found: str) -> None:
    """Record the hash of a file that has no official one, and say so."""
    record = {"url": remote.url, "sha256": found, "bytes": file.stat().st_size}
    with _temporary(remote.record) as (target, temporary):
        target.write(json.dumps(record, indent=1).encode())
        target.flush()
        os.replace(temporary, remote.record)
    log.warning(
        "%s is unverified: no official hash is known; from now on it must have sha256 %s",
        remote.name,
        found,
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: Exception) -> str:
    """Say in a few words why a transfer failed."""
    import requests

    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP {response.status_code}"
    if isinstance(error, requests.Timeout) or "timed out" in str(error).lower():
        return "no answer in time"
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return "no connection" if "Max retries" in str(error) else "the connection broke off"
    return str(error) or type(error).__name__
