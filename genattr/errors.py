"""Errors that are expected: each is reported in one line, without a traceback."""

from __future__ import annotations

import errno
import os
import re
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import SequenceMatcher
from functools import cache
from logging import Logger

from genattr.told import one_line

TERMINATED = 143  # exit code of a process that was asked to end (SIGTERM)
INTERRUPTED = 130  # the same by Ctrl-C (SIGINT)
LONGEST_LINE, LONGEST_NAME = 1_200, 200  # characters of a message, and of a name in a list
CUT = " ... "  # stands for the middle of a text
OF_MEMORY = {"MemoryError", "OutOfMemoryError"}  # Python's, and PyTorch's, which may have no text
NO_MEMORY = re.compile(  # also as TensorFlow, ONNX Runtime, NumPy and CUDA's libraries say it
    r"out of memory|(can't|cannot) allocate memory|not enough memory|bad_alloc|unable to allocate"
    r"|STATUS_ALLOC_FAILED|failed to allocate memory|OOM when allocating"
    r"|storage size calculation overflowed|array is too big",
    re.I,
)
LESS_MEMORY = "take a smaller batch_size, or fewer devices"
OBSTACLES: dict[int | None, str] = {
    errno.ENOSPC: "there is no room left: make some",
    errno.EDQUOT: "your quota is used up: make room",
    errno.EFBIG: "the file would be larger than is allowed: see ulimit -f",
    errno.EIO: "the disk has failed (input/output error): use another one",
    errno.EROFS: "it is on a file system that is read-only: use another folder",
    errno.EACCES: "permission is denied: use a folder of your own",
    errno.EPERM: "that is not permitted: use a folder of your own",
    errno.ENAMETOOLONG: "the name is too long: use a shorter one",
    errno.EMFILE: "too many files are open: see ulimit -n",
    errno.ENFILE: "too many files are open on this machine",
    errno.ESTALE: "its network file system has lost it: try again",
}
ALIKE, NEXT_BEST = 0.6, 0.1  # likeness of names that are suggested, and how far below the best


class ForeseenError(Exception):
    """Told in one line, whatever names and texts of files stand in it: see ``told.one_line``."""

    def __init__(self, message: str) -> None:
        super().__init__(_cut(one_line(message), LONGEST_LINE))


class UserError(ForeseenError):
    """A wrong option, value or path; the message names it and says what would work."""


class FaultError(UserError):
    """What goes wrong around a run, such as a full disk: what is finished is kept.

    What the code on the way up adds to it by ``stopping.keeping`` says what, and how to go on.
    """


class BadPhotoError(ForeseenError):
    """A photo that cannot be read; the run reports it by name, counts it and continues."""


def _cut(text: str, longest: int) -> str:
    """Leave out the middle of a text that is longer."""
    half = (longest - len(CUT)) // 2
    return text if len(text) <= longest else f"{text[:half]}{CUT}{text[-half:]}"


def require(condition: bool, message: str) -> None:
    """Raise UserError with the message unless the condition holds."""
    if not condition:
        raise UserError(message)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the process on a foreseen error with its one line.

    They are each UserError, and what of the machine stands in the way; the traceback stands before
    the line if it is wanted.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, UserError) and obstacle(error) is None:
            raise
        if wants_tracebacks():
            traceback.print_exception(error)
        raise SystemExit(f"genattr: {in_one_line(error)}") from None


def in_one_line(error: Exception) -> str:
    """Tell a foreseen error, with what was added to it on the way up."""
    text = str(error)
    if not isinstance(error, UserError):
        name = getattr(error, "filename", None)
        text = one_line(f"{name}: {obstacle(error)}" if name else str(obstacle(error)))
    return "; ".join([text, *getattr(error, "__notes__", ())])


def obstacle(error: BaseException | None) -> str | None:
    """Say what of the machine stands in the way, by an error, or by what led to it.

    Returns
    -------
    Such as "there is no room left, make some"; None: it is no such error.
    """
    while error is not None:
        found = _told(error) or OBSTACLES.get(_number(error)) or _of_memory(error)
        if found is not None:
            return found
        hides = "inline_container" in str(error)  # torch.save, as it closes the file
        error = error.__cause__ or (error.__context__ if hides else None)
    return None


def _told(error: BaseException) -> str | None:
    return str(error) if isinstance(error, FaultError) else None


def _number(error: BaseException) -> int | None:
    """Return the system's number of an error, which some libraries only write into the text."""
    if isinstance(error, OSError):
        return error.errno
    text = _text(error)
    if "database or disk is full" in text:  # SQLite's words
        return errno.ENOSPC
    written = re.search(r"\(os error (\d+)\)", text)  # Rust's
    return int(written[1]) if written else None


def _of_memory(error: BaseException) -> str | None:
    """Tell a lack of memory, and a GPU that has failed."""
    if is_of_memory(error):
        return f"memory does not suffice ({first_line(error)}): precision=bf16 needs less"
    if isinstance(error, RuntimeError) and "CUDA error: " in str(error):
        return f"the GPU has failed ({first_line(error)}): see nvidia-smi, or use another one"
    return None


@contextmanager
def memory_told(advice: str = LESS_MEMORY) -> Iterator[None]:
    """Raise a UserError, which ends with advice, in the place of an error for want of memory."""
    try:
        yield
    except Exception as error:
        if not is_of_memory(error):
            raise
        raise UserError(f"out of memory ({first_line(error)}): {advice}") from error


def is_of_memory(error: BaseException) -> bool:
    """Whether an error says that this machine, or its GPU, has no more memory."""
    if isinstance(error, UserError):
        return False
    is_named = any(kind.__name__ in OF_MEMORY for kind in type(error).__mro__)
    return is_named or bool(NO_MEMORY.search(_text(error)))


def wants_tracebacks() -> bool:
    """Whether the user asks for tracebacks as Hydra has it, by ``HYDRA_FULL_ERROR=1``."""
    return os.environ.get("HYDRA_FULL_ERROR", "0") not in ("", "0")


def reason(error: Exception) -> str:
    """Describe an error, or its cause, in one line: its class, and its text if it has any."""
    if isinstance(error, UserError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    text, name = first_line(error), type(error).__name__
    if "TorchScript" in text:  # whose errors begin with the code
        text = str(error).strip().splitlines()[-1].strip()
    return name if text == name else f"{name}: {text}"


def first_line(error: BaseException) -> str:
    """Shorten an error's text to its first two lines, joined."""
    lines = [line.strip() for line in _text(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines else type(error).__name__


def _text(error: BaseException) -> str:
    """Return an error's text; other people's may have none."""
    try:
        return str(error)
    except Exception:
        return ""


def abridged(names: Sequence[str]) -> str:
    """Join the first three names and count the others, for messages."""
    joined = ", ".join(_cut(name, LONGEST_NAME) for name in names[:3])
    return f"{joined} and {len(names) - 3} more" if len(names) > 3 else joined


def nearest(name: str, names: Iterable[str]) -> list[str]:
    """Return up to three names that someone who typed ``name`` may have meant, the best first."""
    likeness = {other: _likeness(name.lower(), other.lower()) for other in names if name}
    best = max(likeness.values(), default=0.0)
    close = [other for other, value in likeness.items() if value >= max(ALIKE, best - NEXT_BEST)]
    return sorted(close, key=lambda other: -likeness[other])[:3]


def _likeness(name: str, other: str) -> float:
    """Compare with another name; its beginning and its parts count a little less."""
    parts = [(1.0, other), (0.95, other[: len(name)])]
    parts += [(0.85, part) for part in re.split(r"[_.@/-]", other) if len(part) > 2]
    return max(share * SequenceMatcher(None, name, part).ratio() for share, part in parts)


def did_you_mean(close: Sequence[str]) -> str:
    """Ask about similar names, for the end of a message; empty if there are none."""
    return f"; did you mean {' or '.join(close)}?" if close else ""


def there_is(name: str, names: Sequence[str]) -> str:
    """List the names that there are, and ask which was meant, for the end of a message."""
    return f"; there is {', '.join(names) or 'none'}{did_you_mean(nearest(name, names))}"


def but(name: str, names: Sequence[str], there: str) -> str:
    """Return the end of a message about a wrong name: similar ones if there are, and what there is.

    Parameters
    ----------
    there
        A sentence without its capital: "there is gray, blur".
    """
    close = did_you_mean(nearest(name, names))
    return f"{close} {there[:1].upper()}{there[1:]}" if close else f"; {there}"


@cache
def warn_once(log: Logger, line: str) -> None:
    """Log a warning in one line; the same is told once a process."""
    log.warning("%s", _cut(one_line(line), LONGEST_LINE))
