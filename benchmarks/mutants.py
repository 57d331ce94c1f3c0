"""Do the tests notice small faults? A random sample of mutants, each against its tests.

    python -m benchmarks.mutants --sample 400 --seed 0

A mutant is a copy of the code of method/, metric/ or analysis/ with one small fault
(``benchmarks/mutations.py``). One process imports everything and collects the tests once; each
mutant gets a fork of it, in which the functions that it changes run the changed code. A mutant of
what runs at import, such as a constant, gets a fork that imports genattr anew. The tests that run
the changed line come one after the other, those of its room first, the fastest first, until one
fails: the mutant is killed. It also is if it takes several times the CPU that they take without.

Which test runs which line, and for how long, is measured first, and again for tests or code that
have changed. What is known lies in a folder (``--folder``), so that a run that was interrupted goes
on. The tests of some code need packages beyond those for development: grad-cam, quantus, lpips.
The last line is JSON.
"""

from __future__ import annotations

import argparse
import functools
import gc
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import json
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import pytest
from scipy.stats import binomtest

from benchmarks.mutations import Mutant, changed_functions, mutants

ROOMS = ("method", "metric", "analysis")
TESTS = (
    *(f"tests/{room}" for room in ROOMS),
    *("tests/contract/test_runs.py", "tests/store/test_scores.py", "tests/test_old_components.py"),
    *("tests/run/test_not_a_number.py", "tests/test_other_packages.py"),
)
PRELOADED = (
    *(
        "torch",
        "numpy",
        "scipy.stats",
        "scipy.ndimage",
        "scipy.interpolate",
        "sklearn.linear_model",
    ),
    *("skimage.segmentation", "skimage.metrics", "skimage.feature", "timm", "torchvision", "lime"),
    *("captum.attr", "pytorch_grad_cam", "quantus", "lpips", "hydra", "mlflow", "pandas", "cv2"),
    *("pyarrow.parquet", "matplotlib.pyplot", "hypothesis", "pytorch_msssim", "lime.lime_image"),
)
PLAIN = [
    "-q",
    "-s",
    "--disable-warnings",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:randomly",
    "--hypothesis-seed=0",
]
MOST_CPU = 40.0  # seconds that the tests of a mutant take together without it, at most
SLOWER = 3  # times slower than without it, and a mutant counts as killed
SPARE = 10  # seconds of CPU that it has beside that
KILLED, SURVIVED, LATE, UNSEEN = "killed", "survived", "timeout", "no test"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sample", type=int, default=400, help="how many mutants")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/genattr-mutants"))  # noqa: S108, one may name another
    parser.add_argument("--tests", nargs="+", default=TESTS, help="folders and files of tests")
    parser.add_argument("--again", action="store_true", help="try those that survived once more")
    parser.add_argument("--list", action="store_true", help="show the sample and try nothing")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    chosen = sample(options.sample, options.seed)
    if options.list:
        print(*(each.name for each in chosen), sep="\n")
        return
    preload(options.folder)
    board = Board(options.folder / f"results-{options.seed}.jsonl")
    lines = Lines(options.folder / "lines.json")
    lines.measure(options.tests)
    open_ = [each for each in chosen if board.is_open(each, again=options.again)]
    try_all(open_, lines, board, options.tests)
    board.tell(chosen, options.seed)


def sample(count: int, seed: int) -> list[Mutant]:
    """Draw mutants of all files of the rooms, each as likely as the others.

    It is drawn by their names, so that a change of one file leaves those of the others drawn.
    """
    files = sorted(str(file) for room in ROOMS for file in Path("genattr", room).glob("*.py"))
    every = [mutant for file in files for mutant in mutants(file)]
    return sorted(every, key=lambda each: hashlib.sha256(f"{seed} {each.name}".encode()).digest())[
        :count
    ]


def preload(folder: Path) -> None:
    """Import what other people wrote, once for all forks."""
    import torch

    torch.set_num_threads(1)
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(folder / "hypothesis")
    for name in PRELOADED:
        try:
            importlib.import_module(name)
        except ImportError:
            print(f"not here: {name}")


@dataclass
class Board:
    """What became of the mutants, a JSON line each; the last one of a mutant counts."""

    file: Path
    known: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        self.known = {row["name"]: row for row in map(json.loads, lines)}

    def is_open(self, mutant: Mutant, *, again: bool) -> bool:
        outcome = self.known.get(mutant.name, {}).get("outcome")
        return outcome is None or (again and outcome in (SURVIVED, UNSEEN))

    def note(self, mutant: Mutant, outcome: str, by: str, seconds: float) -> None:
        row = {
            "name": mutant.name, "line": mutant.line, "outcome": outcome, "by": by,
            "cpu": round(seconds, 2),
        }  # fmt: skip
        self.known[mutant.name] = row
        with self.file.open("a") as file:
            file.write(json.dumps(row) + "\n")
        if outcome != KILLED:
            print(f"{outcome}: {mutant.file}:{mutant.line} {mutant.name}", flush=True)

    def tell(self, chosen: Sequence[Mutant], seed: int) -> None:
        """Print the share that was killed, with Wilson's interval."""
        outcomes = [self.known[each.name]["outcome"] for each in chosen]
        killed = sum(outcome in (KILLED, LATE) for outcome in outcomes)
        interval = binomtest(killed, len(outcomes)).proportion_ci(0.95, method="wilson")
        counts = {each: outcomes.count(each) for each in (KILLED, LATE, SURVIVED, UNSEEN)}
        result = {
            "seed": seed, "mutants": len(outcomes), **counts,
            "share": round(killed / len(outcomes), 4),
            "interval": [round(interval.low, 4), round(interval.high, 4)],
        }  # fmt: skip
        print(json.dumps(result))


@dataclass
class Lines:
    """Which test runs which lines of the rooms, and how many seconds of CPU it takes.

    Attributes
    ----------
    of_files
        For each test file its hash, the hashes of the code that it runs, and its tests: seconds and
        lines by file.
    """

    file: Path
    of_files: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.file.exists():
            self.of_files = json.loads(self.file.read_text())

    def measure(self, tests: Sequence[str]) -> None:
        """Run the tests of each file that is new or changed in a fork, line by line."""
        files = [str(at) for each in tests for at in sorted(_test_files(Path(each)))]
        stale = [file for file in files if not self._is_known(file)]
        if not stale:
            return
        note = self.file.with_suffix(".part")
        for file in stale:
            start = time.time()
            fork(lambda file=file: _measure(file, note), 3600)
            tests = json.loads(note.read_text()) if note.exists() else {}
            note.unlink(missing_ok=True)
            run = {path for test in tests.values() for path in test["lines"]}
            hashes = {path: _hash(path) for path in sorted({file, *run})}
            self.of_files[file] = {"hashes": hashes, "tests": tests}
            self.file.write_text(json.dumps(self.of_files))
            print(f"measured {file}: {len(tests)} tests, {time.time() - start:.0f} s", flush=True)

    def _is_known(self, file: str) -> bool:
        hashes = self.of_files.get(file, {}).get("hashes", {})
        return bool(hashes) and all(
            Path(path).exists() and _hash(path) == value for path, value in hashes.items()
        )

    def tests_of(self, mutant: Mutant, *, at_import: bool) -> list[tuple[str, float]]:
        """Return the tests that run a mutant's line: those of its room first, the fastest first.

        Those of its module count as twice as fast.

        What runs at import may be read where no line of its file runs: for it, all tests beside one
        that runs its file count.
        """
        rows = set(range(mutant.line, mutant.line + mutant.old.count("\n") + 1))
        found = []
        for known in self.of_files.values():
            lines = {name: each["lines"].get(mutant.file) for name, each in known["tests"].items()}
            runs = {name for name, each in lines.items() if each and not rows.isdisjoint(each)}
            if at_import and any(lines.values()):
                runs = set(lines)
            found += [(name, known["tests"][name]["cpu"]) for name in runs]
        _, room, module = mutant.file.removesuffix(".py").split("/")

        def place(test: tuple[str, float]) -> tuple[bool, float]:
            name, cpu = test
            is_own = name.startswith(f"tests/{room}/test_{module}")
            return not name.startswith(f"tests/{room}/"), cpu / 2 if is_own else cpu

        found.sort(key=place)
        return _within(found, MOST_CPU)


def _within(tests: Iterable[tuple[str, float]], most: float) -> list[tuple[str, float]]:
    kept, total = [], 0.0
    for name, cpu in tests:
        total += cpu
        if kept and total > most:
            break
        kept.append((name, cpu))
    return kept


def _test_files(path: Path) -> Iterable[Path]:
    return path.glob("test_*.py") if path.is_dir() else [path]


def _hash(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _measure(file: str, note: Path) -> int:
    """Run the tests of a file, and write down the seconds and the lines of those that pass."""
    watcher = Watcher()
    _plain_pytest([file], [watcher])
    note.write_text(json.dumps(watcher.tests))
    return 0


def _plain_pytest(arguments: Sequence[str], plugins: Sequence[object]) -> int:
    folder = f"--basetemp=/tmp/genattr-mutants-{os.getpid()}"
    try:
        return int(pytest.main([*PLAIN, folder, *arguments], plugins=list(plugins)))
    finally:
        shutil.rmtree(folder.partition("=")[2], ignore_errors=True)


class Watcher:
    """A plugin of pytest that watches which lines of the rooms a test runs."""

    def __init__(self) -> None:
        self.tests: dict[str, dict[str, Any]] = {}
        self._lines: dict[str, set[int]] = {}
        self._known: dict[CodeType, set[int] | None] = {}
        self._failed = False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self._lines, self._known, self._failed = {}, {}, False
        start = time.process_time()
        sys.settrace(self._call)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            if not self._failed:
                lines = {path: sorted(each) for path, each in self._lines.items()}
                cpu = time.process_time() - start
                self.tests[item.nodeid] = {"cpu": round(cpu, 3), "lines": lines}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._failed |= not report.passed

    def _call(self, frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        if code not in self._known:
            self._known[code] = self._noted(code.co_filename)
        lines = self._known[code]
        if lines is None:
            return None
        lines.add(frame.f_lineno)

        def line(frame: FrameType, event: str, argument: Any) -> Any:
            lines.add(frame.f_lineno)
            return line

        return line

    def _noted(self, path: str) -> set[int] | None:
        here = f"{Path.cwd()}/"
        relative = path.removeprefix(here)
        if not relative.startswith(tuple(f"genattr/{room}/" for room in ROOMS)):
            return None
        return self._lines.setdefault(relative, set())


def try_all(open_: Sequence[Mutant], lines: Lines, board: Board, tests: Sequence[str]) -> None:
    """Try mutants: first those that change what runs at import."""
    changed = {each: changed_functions(each) for each in open_}
    for mutant, functions in changed.items():
        if functions is None:
            its = lines.tests_of(mutant, at_import=True)
            _try(mutant, its, board, lambda m=mutant, t=its: _afresh(m, [n for n, _ in t]))
    rest = {each: functions for each, functions in changed.items() if functions is not None}
    if rest:
        fork(lambda: _plain_pytest(tests, [Server(rest, lines, board)]), 10**9)
        board.__post_init__()


def _try(
    mutant: Mutant, tests: Sequence[tuple[str, float]], board: Board, run: Callable[[], int]
) -> None:
    if not tests:
        return board.note(mutant, UNSEEN, "", 0)
    start = resource.getrusage(resource.RUSAGE_CHILDREN)
    outcome = fork(run, SLOWER * sum(cpu for _, cpu in tests) + SPARE)
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime
    told = {0: SURVIVED, -signal.SIGXCPU: LATE, -signal.SIGKILL: LATE}.get(outcome, KILLED)
    by = tests[outcome - FAILED][0] if FAILED <= outcome < FAILED + len(tests) else ""
    return board.note(mutant, told, by, cpu)


FAILED = 10  # exit status of a fork whose first test fails; 11: the second one, and so on


def fork(work: Callable[[], int], cpu: float) -> int:
    """Do some work in a fork; return its exit status, or minus the signal that ended it."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_CPU, (int(min(cpu, 10**8)), int(min(cpu, 10**8)) + 5))
        status = 1
        try:
            status = work()
        finally:
            sys.stdout.flush()
            os._exit(status)
    deadline = time.time() + 20 * cpu + 60
    while not (done := os.waitpid(child, os.WNOHANG))[0]:
        if time.time() > deadline:
            os.killpg(child, signal.SIGKILL)
        time.sleep(0.02)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(done[1])


class Server:
    """A plugin of pytest that tries mutants in place of running the tests that were collected."""

    def __init__(
        self,
        changed: dict[Mutant, list[tuple[CodeType, CodeType]]],
        lines: Lines,
        board: Board,
    ) -> None:
        self._changed, self._lines, self._board = changed, lines, board

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        gc.collect()
        gc.freeze()
        for mutant, functions in self._changed.items():
            found = self._lines.tests_of(mutant, at_import=False)
            tests = [each for each in found if each[0] in items]
            chosen = [(items[name], cpu) for name, cpu in tests]
            _try(mutant, tests, self._board, lambda f=functions, c=chosen: _swapped(f, c))
        return True


def _swapped(
    functions: Sequence[tuple[CodeType, CodeType]], items: Sequence[tuple[pytest.Item, float]]
) -> int:
    """Give functions their changed code, and run tests until one fails, or takes far too long."""
    swap(functions)
    _hide_output()
    reporter = Reporter()
    config = items[0][0].config
    config.pluginmanager.register(reporter)
    config._tmp_path_factory._basetemp = None  # type: ignore[attr-defined]
    folder = Path(f"/tmp/genattr-mutants-{os.getpid()}")  # noqa: S108
    config._tmp_path_factory._given_basetemp = folder  # type: ignore[attr-defined]
    status = 0
    for at, (item, cpu) in enumerate(items):
        following = items[at + 1][0] if at + 1 < len(items) else None
        _allow(SLOWER * cpu + SPARE)
        config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if reporter.failed:
            status = min(FAILED + at, 255)
            break
    shutil.rmtree(folder, ignore_errors=True)
    return status


def _allow(seconds: float) -> None:
    """Let this process use so many further seconds of CPU, within its limit."""
    used, (_, most) = time.process_time(), resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (min(int(used + seconds) + 1, most), most))


def swap(functions: Sequence[tuple[CodeType, CodeType]]) -> None:
    """Let all functions of some code run other code, and forget what they have returned."""
    gc.unfreeze()
    wanted = {_key(old): new for old, new in functions}
    seen = set()
    for each in gc.get_objects():
        if isinstance(each, functools._lru_cache_wrapper):
            if str(each.__module__).startswith("genattr"):
                each.cache_clear()
        elif isinstance(each, FunctionType) and _key(each.__code__) in wanted:
            seen.add(_key(each.__code__))
            each.__code__ = wanted[_key(each.__code__)]
    if seen != wanted.keys():
        raise LookupError(f"not found: {wanted.keys() - seen}")


def _key(code: CodeType) -> tuple[str, str, int]:
    return code.co_filename, code.co_qualname, code.co_firstlineno


class Reporter:
    """A plugin of pytest that notes whether a test has failed."""

    failed = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed |= report.failed


def _hide_output() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def _afresh(mutant: Mutant, tests: Sequence[str]) -> int:
    """Import genattr with a mutant in it, and run tests until one fails."""
    _hide_output()
    name = mutant.file.removesuffix(".py").replace("/", ".")
    sys.meta_path.insert(0, Changed(name, mutant))
    return 0 if _plain_pytest(["-x", *tests], []) in (0, 5) else 1


class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Import one module from the text of a mutant."""

    def __init__(self, name: str, mutant: Mutant) -> None:
        self._name, self._mutant = name, mutant

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != self._name:
            return None
        place = str(Path(self._mutant.file).resolve())
        spec = importlib.machinery.ModuleSpec(name, self, origin=place)
        spec.has_location = True
        return spec

    def exec_module(self, module: Any) -> None:
        code = compile(self._mutant.text, str(Path(self._mutant.file).resolve()), "exec")
        exec(code, module.__dict__)  # noqa: S102, the code of this repository


if __name__ == "__main__":
    main()
