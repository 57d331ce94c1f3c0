"""A small sweep and a single run as a user makes them, and the UI as the printed line starts it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import REPO
from tests.servers import free_port, wait_for

CHEAP = ["selection.limit=3", "protocol.stride=24", "metric=[localization,deletion]", "threads=1"]
SIZES = (5, 17, 53, 101)  # as texts, 101 would come before 17


@dataclass(frozen=True)
class Printed:
    """What a command printed, and the folder that it wrote its results to."""

    text: str
    folder: Path

    def after(self, head: str) -> str:
        """Return the rest of the line that begins so."""
        (line,) = [line for line in self.text.splitlines() if line.startswith(head)]
        return line.removeprefix(head).strip()


def run(folder: Path, *arguments: str) -> Printed:
    """Run run.py with its results in a folder."""
    places = [f"tracking.uri=sqlite:///{folder}/mlflow.db", f"store={folder}/heatmaps"]
    places += [f"hydra.run.dir={folder}/single", f"hydra.sweep.dir={folder}/sweep"]
    done = subprocess.run(
        [sys.executable, "run.py", *arguments, *CHEAP, *places],
        cwd=REPO, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return Printed(done.stdout, folder)


@contextmanager
def ui(printed: Printed) -> Iterator[str]:
    """Start the UI by the printed line, but on a free port; yield its address."""
    port = free_port()
    line = printed.after("Start the UI:")
    quick = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(
        [*shlex.split(line), "--port", str(port)], cwd=printed.folder, env=quick,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        wait_for(port, process, seconds=180)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.wait()
