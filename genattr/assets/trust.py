"""Files that can run code: opened if the user trusts them, or if their hash is known."""

from __future__ import annotations

import hashlib
from pathlib import Path

from genattr.errors import require

ANY_CODE = "such a file can run code of its own"


def consent(where: str, trust: bool, why: str = ANY_CODE) -> None:
    """Refuse a file that can run code, before any library opens it.

    Parameters
    ----------
    where
        The file's key and its value, for the message of UserError.
    trust
        Whether the user, or the file's hash, says that it may be opened.
    why
        How it can run code.
    """
    require(trust, f"{where}: {why}: if you trust whoever made it, give trust=true")


def is_known(file: Path, sha256: str | None) -> bool:
    """Whether a file is the one whose hash, or its first digits, stands in the configuration."""
    return sha256 is not None and file_sha256(file).startswith(sha256)


def file_sha256(file: Path) -> str:
    """Hash a file's content, as 64 hexadecimal digits."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
