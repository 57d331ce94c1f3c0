"""Output of commands, on terminals and in files of any encoding."""

from __future__ import annotations

import io
import logging
import sys

STRICT = ("strict", "surrogateescape")  # what fails at a character that the encoding lacks


def replace_unknown() -> None:
    """Write ``?`` for what the encoding of the output or of the log lacks, in place of an error."""
    handlers = logging.getLogger().handlers
    logs = [handler.stream for handler in handlers if isinstance(handler, logging.StreamHandler)]
    for stream in (sys.stdout, sys.stderr, *logs):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in STRICT:
            stream.reconfigure(errors="replace")
