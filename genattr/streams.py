"""Output of commands, on terminals and in files of any encoding."""

from __future__ import annotations

import io
import logging
import sys

from genattr.errors import obstacle

STRICT = ("strict", "surrogateescape")  # what fails at a character that the encoding lacks


class LogFile(logging.FileHandler):
    """A log file; where it cannot be written, that is told once, and the work goes on without."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, its name in logging
        why = obstacle(sys.exc_info()[1])
        if why is None:
            super().handleError(record)
            return
        self.setLevel(logging.CRITICAL + 1)
        print(f"genattr: {self.baseFilename} ends here: {why}", file=sys.stderr)


def replace_unknown() -> None:
    """Write ``?`` for what the encoding of the output or of the log lacks, in place of an error."""
    handlers = logging.getLogger().handlers
    logs = [handler.stream for handler in handlers if isinstance(handler, logging.StreamHandler)]
    for stream in (sys.stdout, sys.stderr, *logs):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in STRICT:
            stream.reconfigure(errors="replace")
