"""Output of commands, on terminals and in files of any encoding, and where nobody reads it."""

from __future__ import annotations

import io
import logging
import os
import sys
from errno import EPIPE
from typing import Any, TextIO

from genattr.errors import obstacle

STRICT = ("strict", "surrogateescape")  # what fails at a character that the encoding lacks
NAMES = {1: "stdout", 2: "stderr"}  # by their numbers


class LogFile(logging.FileHandler):
    """A log file; where it cannot be written, that is told once, and the work goes on without."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, its name in logging
        why = obstacle(sys.exc_info()[1])
        if why is None:
            super().handleError(record)
            return
        self.setLevel(logging.CRITICAL + 1)
        print(f"genattr: {self.baseFilename} ends here: {why}", file=sys.stderr)


class Lasting(io.FileIO):
    """An output; where it cannot be written any more, the work goes on, and nothing is shown.

    Attributes
    ----------
    lost
        Why it ended; None: it has not, or nobody reads it any more.
    """

    lost: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write bytes, or drop them."""
        try:
            return super().write(data)
        except OSError as error:
            self._end(error)
            return memoryview(data).nbytes

    def _end(self, error: OSError) -> None:
        """Let this output, also of libraries and further processes, lead nowhere."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        if error.errno != EPIPE:
            self.lost = error
        if self.lost is not None and NAMES[self.fileno()] != "stderr":
            print(f"genattr: the output ends here: {_why(self.lost)}", file=sys.stderr)


_lasting: list[Lasting] = []


def prepare() -> None:
    """Make the outputs of this process last, and take any text."""
    last()
    replace_unknown()


def last() -> None:
    """Let work outlast its outputs: a pipe that nobody reads, a full disk, a terminal that is gone.

    Outputs that are closed from the start lead nowhere, so that no other file gets their numbers.
    """
    for number in (0, *NAMES):
        _open(number)
    for name in NAMES.values():
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, _lasting_stream(stream))


def are_whole() -> bool:
    """Whether all that was written could be, or nobody reads it any more."""
    sys.stdout.flush()
    return all(raw.lost is None for raw in _lasting)


def _why(error: OSError) -> str:
    return obstacle(error) or str(error.strerror)


def _open(number: int) -> None:
    """Open a standard stream that is closed."""
    try:
        os.fstat(number)
    except OSError:
        nowhere = os.open(os.devnull, os.O_RDWR)  # has the lowest number that is free, this one
        os.set_inheritable(nowhere, True)
    if number in NAMES and getattr(sys, NAMES[number]) is None:
        stream = io.TextIOWrapper(io.FileIO(number, "w", closefd=False), "utf-8")
        setattr(sys, NAMES[number], stream)


def _lasting_stream(stream: io.TextIOWrapper) -> TextIO:
    """Return a stream like another one, which is left open, that lasts."""
    stream.flush()
    raw = Lasting(stream.fileno(), "w", closefd=False)
    _lasting.append(raw)
    buffer: Any = raw if stream.write_through else io.BufferedWriter(raw)  # python -u: none
    return io.TextIOWrapper(
        buffer,
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def replace_unknown() -> None:
    """Write ``?`` for what the encoding of the output or of the log lacks, in place of an error."""
    handlers = logging.getLogger().handlers
    logs = [handler.stream for handler in handlers if isinstance(handler, logging.StreamHandler)]
    for stream in (sys.stdout, sys.stderr, *logs):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in STRICT:
            stream.reconfigure(errors="replace")
