"""Search for files on which a reader fails, guided by what of its code they reach.

    pip install atheris
    python -m tests.faults.fuzz [TARGET ...] --seconds 300

Each target is a kind of files (``readers.READERS``), fuzzed in a process of its own; ``together``
is all of them in one process. The first byte of what is tried chooses among a process's kinds. A
finding is an error that is not foreseen, a hang or more memory than ``--megabytes``; what was tried
is kept in ``--folder``, one for each place in the code. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import re
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from types import FrameType

HANG = 5  # seconds
LONGEST = 20_000  # bytes of a file
TOGETHER = "together"
WATCHED = (
    *("csv", "json.decoder", "zipfile", "numpy.lib._format_impl", "xml.etree.ElementTree"),
    *("genattr.dataset", "genattr.store.archive", "genattr.store.heatmaps"),
    *("genattr.store.scores", "genattr.assets.checkpoint", "genattr.filler._deepfill"),
    "torch._weights_only_unpickler",
)


class HangError(Exception):
    """A file took too long."""


def main(words: list[str] | None = None) -> None:
    """Fuzz targets one after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("targets", nargs="*", help="kinds of files; all by default")
    parser.add_argument("--seconds", type=int, default=300, help="for each target")
    parser.add_argument("--megabytes", type=int, default=1000, help="more than it began with")
    parser.add_argument("--folder", type=Path, default=Path("build/fuzz"), help="for findings")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(words)
    if chosen.inside:
        _fuzz(chosen.targets[0], chosen)
        return
    results = {}
    for target in chosen.targets or _targets():
        results[target] = _started(target, chosen)
        print(target, json.dumps(results[target]), flush=True)
    print(json.dumps(results))


def _targets() -> list[str]:
    from tests.faults.readers import READERS

    return list(READERS)


def _started(target: str, chosen: argparse.Namespace) -> dict[str, object]:
    """Fuzz a target in another process: how often it was read, what was reached and found."""
    folder = chosen.folder / target
    folder.mkdir(parents=True, exist_ok=True)
    options = [f"--{key}={getattr(chosen, key)}" for key in ("seconds", "megabytes", "folder")]
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.fuzz", target, *options, "--inside"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace", check=False,
    )  # fmt: skip
    (folder / "log.txt").write_text(done.stderr)
    runs = re.findall(r"number_of_executed_units:\s*(\d+)", done.stderr)
    reached = re.findall(r"cov: (\d+) ft: (\d+)", done.stderr)
    return {
        "executions": int(runs[-1]) if runs else 0,
        "edges": int(reached[-1][0]) if reached else 0,
        "features": int(reached[-1][1]) if reached else 0,
        "exit": done.returncode,
        "findings": sorted(path.name for path in folder.glob("*.bin")),
    }


def _fuzz(target: str, chosen: argparse.Namespace) -> None:
    import atheris

    with atheris.instrument_imports(include=list(WATCHED)):
        readers = importlib.import_module("tests.faults.readers")
    logging.disable()
    warnings.simplefilter("ignore")
    kinds = list(readers.READERS) if target == TOGETHER else [target]
    keep = chosen.folder / target
    work = Path(tempfile.mkdtemp(prefix="fuzz-"))
    corpus = work / "corpus"
    corpus.mkdir()
    for place, kind in enumerate(kinds):
        for number, seed in enumerate(readers.READERS[kind].seeds()):
            (corpus / f"{place}-{number}").write_bytes(bytes([place]) + seed)
    _limit_memory(chosen.megabytes)
    signal.signal(signal.SIGALRM, _hang)

    def once(content: bytes) -> None:
        kind = kinds[content[0] % len(kinds)] if content else kinds[0]
        signal.alarm(HANG)
        try:
            readers.READERS[kind].answer(work / kind, content[1:])
        except Exception as error:
            _kept(error, content, keep)
        finally:
            signal.alarm(0)

    limits = [f"-max_total_time={chosen.seconds}", f"-timeout={4 * HANG}", f"-max_len={LONGEST}"]
    flags = ["-print_final_stats=1", "-rss_limit_mb=4000", f"-artifact_prefix={keep}/", "-seed=1"]
    atheris.Setup([sys.argv[0], *limits, *flags, str(corpus)], once)
    atheris.Fuzz()


def _limit_memory(megabytes: int) -> None:
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = size + megabytes * 1_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _hang(_: int, __: FrameType | None) -> None:
    raise HangError


def _kept(error: Exception, content: bytes, folder: Path) -> None:
    """Keep the file of a finding, and its traceback, unless that place has one already."""
    cause = error.__context__ if type(error).__name__ == "BadLineError" else error
    assert cause is not None
    frames = [frame for frame in traceback.extract_tb(cause.__traceback__) if _is_ours(frame)]
    at = f"{Path(frames[-1].filename).stem}-{frames[-1].name}" if frames else "elsewhere"
    file = folder / f"{type(error).__name__}-{at}.bin"
    if not file.exists():
        file.write_bytes(content)
        told = "".join(traceback.format_exception(error))
        file.with_suffix(".txt").write_text(told[-6000:], errors="replace")


def _is_ours(frame: traceback.FrameSummary) -> bool:
    return "/genattr/" in frame.filename and not frame.filename.endswith("errors.py")


if __name__ == "__main__":
    main()
