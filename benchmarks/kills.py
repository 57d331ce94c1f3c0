"""Does kill -9 lose or repeat heatmaps? Runs killed in every phase, run again and compared.

    python -m benchmarks.kills [kills]

A run of three photos is killed while it fills, scores, writes, logs or closes, evenly over the
calls of each phase, and then run again. A heatmap is lost if its writing had ended and it is
explained again, and repeated if the run again explains what had been kept. The last line is JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any

import numpy as np
from hydra import compose, initialize_config_dir

import genattr
from benchmarks.components import CONF
from genattr import config
from genattr.console import Bar
from genattr.filler.mirror import Mirror
from genattr.run import experiment
from genattr.store import archive
from genattr.store.heatmaps import HeatmapStore
from genattr.tracking.mlflow import MlflowRun, MlflowTracking

Place = tuple[Any, str]  # what has a function, and its name there
PHASES: dict[str, list[Place]] = {
    "fill": [(Mirror, "fill")],
    "score": [(Bar, "scored")],
    "write": [(archive, "_row"), (os, "replace")],
    "log": [(MlflowRun, "metrics"), (MlflowRun, "files"), (MlflowRun, "examples")],
    "close": [(MlflowRun, "close")],
}
SMALL = [
    "classifier=timm", "classifier.name=test_resnet", "classifier.pretrained=false",
    "target=predicted", "selection.limit=3", "method=sp-g", "filler=mirror", "method.stride=40",
    "batch_size=4", "metric=[deletion]", "metric.deletion.tie_seeds=1", "threads=1",
    "device=cpu",
]  # fmt: skip


@dataclass
class Result:
    """What the kills of one phase came to.

    Attributes
    ----------
    kills, counted
        All, and those after the first heatmap, which alone can lose one.
    lost, repeated
        Heatmaps that had been kept and are gone, or are explained again.
    different
        Reruns whose heatmaps are not bit-equal to those of the run that was not killed.
    left_open
        Runs that stand as running after the rerun.
    """

    kills: int = 0
    counted: int = 0
    lost: int = 0
    repeated: int = 0
    different: int = 0
    left_open: int = 0


NAMES = [one.name for one in fields(Result)]


@dataclass
class Forked:
    """A process that was forked off, in a session of its own with all that it starts.

    Attributes
    ----------
    pid
        Its number, and its session's.
    """

    pid: int
    _told: IO[str]

    def kill(self) -> None:
        """Kill it, and nothing that it has started."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self, seconds: float = 300) -> tuple[int, str]:
        """Return its exit code, or minus the signal that ended it, and what it told.

        One that takes longer is killed, and AssertionError is raised.
        """
        until = time.monotonic() + seconds
        while not (ended := os.waitpid(self.pid, os.WNOHANG))[0]:
            if time.monotonic() > until:
                self.kill()
                os.waitpid(self.pid, 0)
                raise AssertionError(f"process {self.pid} had not ended after {seconds} s")
            time.sleep(0.005)
        with self._told:
            return os.waitstatus_to_exitcode(ended[1]), self._told.read()


def fork(work: Callable[[], object], out: Path) -> Forked:
    """Do some work in a forked process, which needs no imports; what it prints goes to a file.

    Parameters
    ----------
    work
        What it returns is told as text. SystemExit ends the process as it would have.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _child(work, out, writer)
    os.close(writer)
    return Forked(pid, os.fdopen(reader))


def _child(work: Callable[[], object], out: Path, writer: int) -> None:
    """Work and end the process."""
    code = 1
    try:
        os.setsid()
        printed = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        sys.stdout, sys.stderr = (open(one, "w", closefd=False) for one in (1, 2))  # noqa: SIM115
        os.write(writer, str(work()).encode())
        code = 0
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else int(bool(stopped.code))
        os.write(2, f"{stopped.code}\n".encode() if isinstance(stopped.code, str) else b"")
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def run(folder: Path, log: Path, phase: str | None = None, nth: int = 0) -> int:
    """Run in a process of its own, killed at the n-th call of a phase; return calls or -signal."""

    def work() -> int:
        _watch_store(log)
        calls = _arm(phase, nth)
        experiment.run(_config(folder), folder / "run")
        return calls[0]

    code, calls = fork(work, folder / "out.txt").wait()
    if code < 0:
        return code
    assert code == 0, f"the run failed, see {folder}/out.txt"
    return int(calls)


def _config(folder: Path) -> Any:
    config.register()
    places = [f"store={folder}/heatmaps", f"tracking.uri=sqlite:///{folder}/mlflow.db"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=[*SMALL, *places])


def _watch_store(log: Path) -> None:
    """Note the key of each heatmap once it has been kept."""
    put = HeatmapStore.put

    def noting(self: HeatmapStore, key: str, heatmap: Any) -> None:
        put(self, key, heatmap)
        with log.open("a") as file:
            file.write(f"{key}\n")

    HeatmapStore.put = noting


def arm(places: Sequence[Place], nth: int, kill: Callable[..., None] | None = None) -> list[int]:
    """Count the calls of functions in this process, and kill it at the n-th.

    Parameters
    ----------
    places
        What has each function, and its name there.
    nth
        0: count only.
    kill
        Called with what the n-th call is given, before the end.

    Returns
    -------
    The number of calls, as it is now.
    """
    calls = [0]
    for owner, name in places:
        setattr(owner, name, _counted(getattr(owner, name), calls, nth, kill))
    return calls


def _counted(
    original: Callable[..., Any], calls: list[int], nth: int, kill: Callable[..., None] | None
) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if calls[0] == nth:
            if kill is not None:
                kill(original, *args, **kwargs)
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)

    return call


def _arm(phase: str | None, nth: int) -> list[int]:
    """Count the calls of a phase, and kill this process at the n-th."""
    calls = arm(PHASES.get(phase or "", []), nth)
    if phase == "close":
        _call_after_close(_counted(lambda: None, calls, nth, None))
    return calls


def _call_after_close(after: Callable[[], None]) -> None:
    close = MlflowRun.close

    def closing(self: MlflowRun, status: str, ended: float | None = None) -> None:
        close(self, status, ended)
        after()

    MlflowRun.close = closing


def heatmaps(folder: Path) -> dict[str, np.ndarray]:
    """Return the values of a finished run's heatmaps."""
    return {one.image_id: one.values.numpy() for one in genattr.load(folder / "run")}


def statuses(folder: Path) -> list[str]:
    """Return the states of the runs in the tracking store."""
    import sqlite3

    with sqlite3.connect(f"file:{folder}/mlflow.db?mode=ro", uri=True) as database:
        return [row[0] for row in database.execute("select status from runs")]


def kill(folder: Path, phase: str, nth: int, expected: dict[str, np.ndarray]) -> Result:
    """Kill one run, run it again, and count what is wrong."""
    first, second = folder / "first.log", folder / "second.log"
    folder.mkdir()
    shutil.copy(folder.parent / "whole" / "empty.db", folder / "mlflow.db")
    for log in (first, second):
        log.touch()
    assert run(folder, first, phase, nth) == -signal.SIGKILL
    kept = first.read_text().split()
    store = HeatmapStore(folder / "heatmaps")
    lost = sum(store.get(key) is None for key in kept)
    run(folder, second)
    again = second.read_text().split()
    found = heatmaps(folder)
    same = found.keys() == expected.keys() and all(
        np.array_equal(found[name], expected[name]) for name in expected
    )
    return Result(
        kills=1,
        counted=int(bool(kept)),
        lost=lost,
        repeated=len(set(kept) & set(again)) + len(again) - len(set(again)),
        different=int(not same),
        left_open=statuses(folder).count("RUNNING"),
    )


def prepare(whole: Path) -> dict[str, np.ndarray]:
    """Run without a kill; leave an empty database to copy, and return the heatmaps."""
    whole.mkdir(parents=True)
    MlflowTracking(f"sqlite:///{whole}/mlflow.db", "genattr").prepare()
    shutil.copy(whole / "mlflow.db", whole / "empty.db")
    run(whole, whole / "puts.log")
    return heatmaps(whole)


def measure(folder: Path, kills: int) -> dict[str, Result]:
    """Spread the kills over the phases, and within a phase over its calls."""
    expected = prepare(folder / "whole")
    calls = {phase: run(folder / phase, folder / f"{phase}.log", phase) for phase in PHASES}
    results = {}
    for index, phase in enumerate(PHASES):
        total = results[phase] = Result()
        count = kills // len(PHASES) + (index < kills % len(PHASES))
        for number in range(count):
            nth = 1 + round((number + 0.5) / count * (calls[phase] - 1))
            one = kill(folder / f"{phase}{number}", phase, nth, expected)
            for name in NAMES:
                setattr(total, name, getattr(total, name) + getattr(one, name))
        print(f"{phase} ({calls[phase]} calls): {total}", flush=True)
    return results


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    with tempfile.TemporaryDirectory() as folder:
        results = measure(Path(folder), kills)
    print(json.dumps({name: sum(getattr(r, name) for r in results.values()) for name in NAMES}))


if __name__ == "__main__":
    main()
