"""Files from the network: downloaded once, checked at every use, never left incomplete.

A file is stored in one folder, ``GENATTR_CACHE`` or ``~/.cache/genattr``, under the last part of
its URL. A user without a network may put it there by hand; it is checked the same way. An
interrupted download is continued the next time, from a hidden ``.part`` beside the file, if the
server supports ranges and the file's hash is known.
"""

from __future__ import annotations

import json
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from genattr.assets import hosts, http
from genattr.assets.trust import file_sha256
from genattr.errors import UserError, require
from genattr.protocols import Asset

log = logging.getLogger(__name__)
TIMEOUT = (10.0, 30.0)  # seconds to connect, and from one piece to the next


class NotFetchedError(UserError):
    """A file that could not be fetched.

    Parameters
    ----------
    message
        For the user.
    reason
        Why, in a few words.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class RemoteFile(Asset):
    """A file at an address.

    Parameters
    ----------
    url
        https, or http of this machine; its last part names the file.
    sha256
        Hash that the file must have, or 8 and more of its first digits. None: no official one is
        known, so the hash is recorded at first use, and any other is refused from then on.
    license
        License of the content, logged when it is downloaded.
    max_bytes
        A longer file is refused.
    """

    key_name: ClassVar[str] = "genattr.download.RemoteFile"

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
    def folder(self) -> Path:
        """Where files of its kind are kept."""
        return cache_folder()

    @property
    def path(self) -> Path:
        """Where the file is, or must be put."""
        return self.folder / self.name

    @property
    def origin(self) -> str:
        """Where it is fetched from."""
        return self.url

    @property
    def place(self) -> Path:
        """Where it is, or will be."""
        return self.path

    @property
    def record(self) -> Path:
        """File with the hash at first use, for a file without an official hash."""
        return self.folder / f"{self.name}.json"

    @property
    def part(self) -> Path | None:
        """Where an interrupted download is kept; None if the file's hash is unknown."""
        return self.folder / f".{self.name}.part" if self.sha256 else None

    def check(self, file: Path) -> None:
        """Raise UserError unless the file, or its download, has the expected hash."""
        _check(self, file, file_sha256(file))


def cache_folder() -> Path:
    """Return the folder of fetched files: ``GENATTR_CACHE``, or ``~/.cache/genattr``."""
    try:
        folder = Path(os.environ.get("GENATTR_CACHE") or "~/.cache/genattr").expanduser()
    except RuntimeError as error:
        raise UserError("this user has no home folder: set GENATTR_CACHE to a folder") from error
    return folder.absolute()


def fetch(remote: RemoteFile, timeout: tuple[float, float] = TIMEOUT) -> Path:
    """Download the file unless it is already there, check its hash, and return its path.

    Parameters
    ----------
    timeout
        Seconds to wait for a connection, and for the next piece.

    Raises
    ------
    UserError
        If it cannot be fetched (which file, from where, to where: NotFetchedError), is too large,
        or is not the expected file. At most a part to be continued is kept then.
    """
    if remote.path.is_file():
        remote.check(remote.path)
    else:
        _download(remote, timeout)
    return remote.path


def _download(remote: RemoteFile, timeout: tuple[float, float]) -> None:
    """Write to a temporary file beside the path, check it and rename it atomically."""
    try:
        hosts.check(remote.url, remote.url)
        told = (remote.name, remote.license, remote.url, remote.folder)
        log.info("fetching %s (license: %s) from %s to %s", *told)
        if not http.connects(remote.url):
            raise ConnectionError("no connection")
        remote.folder.mkdir(parents=True, exist_ok=True)
        with http.temporary(remote.path) as file:
            transfer = http.Transfer(remote.url, file, remote.max_bytes, remote.part, timeout)
            transfer.run(remote.name)
            remote.check(file)
            os.replace(file, remote.path)
    except OSError as error:  # those of requests are too
        why = http.reason(error)
        raise NotFetchedError(
            f"{remote.name} could not be fetched ({why}): put the file from {remote.url} at "
            f"{remote.path} (license: {remote.license})",
            why,
        ) from error


def _check(remote: RemoteFile, file: Path, digest: str) -> None:
    """Compare a file's hash with the official one, or with the one recorded at first use."""
    expected, origin = remote.sha256, ""
    if expected is None:
        expected = _recorded(remote)
        origin = f" as at first use (delete {remote.record} to trust another)"
    if expected is None:
        _trust(remote, file, digest)
        return
    if digest.startswith(expected):
        return
    what = f"{file} is" if file == remote.path else f"{remote.url} gives"
    raise UserError(
        f"{what} not the expected file: sha256 {digest[:12]}…, not {expected[:12]}…{origin}; "
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


def _trust(remote: RemoteFile, file: Path, digest: str) -> None:
    """Record the hash of a file that has no official one, and log a warning."""
    record = {"url": remote.url, "sha256": digest, "bytes": file.stat().st_size}
    with http.temporary(remote.record) as target:
        target.write_text(json.dumps(record, indent=1), encoding="utf-8")
        os.replace(target, remote.record)
    log.warning(
        "%s is unverified: no official hash is known; from now on it must have sha256 %s",
        remote.name,
        digest,
    )
