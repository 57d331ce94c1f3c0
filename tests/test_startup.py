"""What must stay light imports nothing heavy; ``benchmarks/startup.py`` tells the seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPO

HEAVY = {
    *("captum", "cv2", "lime", "matplotlib", "mlflow", "numpy", "pandas", "PIL", "pydantic"),
    *("pyarrow", "requests", "rich", "safetensors", "scipy", "skimage", "sklearn", "timm"),
    *("torch", "torchvision"),
}
IMPORTS = [
    "genattr",
    "genattr.config",
    "genattr.errors",
    "genattr.sweep.lifecycle",
    "genattr.__main__",
    "run",
]
COMPLETE = ["-sc", "query=bash"]
LATE = {  # what a run does not wait for before its first photo
    *("captum", "cv2", "lime", "matplotlib", "mlflow", "pandas", "pyarrow", "requests", "scipy"),
    *("sklearn", "sqlalchemy", "sympy", "timm", "torchvision"),
}
FIRST_PHOTO = """
from genattr import imports
from genattr.run import experiment
from genattr.tracking.base import Run
from genattr.tracking.mlflow import MlflowTracking

imports.ahead = MlflowTracking.prepare = lambda *_: None  # what threads do
MlflowTracking.start = lambda self, *_: Run()
experiment.explain_and_score = lambda *_: sys.exit(print("first photo"))
from run import main
main()
"""


REPORT = """
import atexit, sys
sys.path.insert(0, ".")
atexit.register(
    lambda: print(*sorted({name.split(".")[0] for name in sys.modules}), file=sys.stderr)
)
"""


def modules(script: str, *arguments: str, line: str = "") -> tuple[set[str], str]:
    """Run a script in a fresh process; return the packages that it imported, and what it said."""
    done = subprocess.run(
        [sys.executable, "-c", REPORT + script, *arguments],
        cwd=REPO,
        env=os.environ | {"COMP_LINE": line},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split()), done.stdout


def test_heavy_modules_are_named_as_they_are_imported() -> None:
    loaded, _ = modules("import torch, PIL")
    assert {"torch", "PIL"} <= loaded


@pytest.mark.parametrize("module", IMPORTS)
def test_importing_is_light(module: str) -> None:
    loaded, _ = modules(f"import {module}")
    assert module.split(".")[0] in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize(
    ("arguments", "line", "said"),
    [
        (["--help"], "", "mean_segment, mirror"),
        (["--cfg", "job", "method=sp-g"], "", "genattr.filler.lightfill.LightFill"),
        (COMPLETE, "python run.py method=li", "method=lime method=lime-g"),
        (COMPLETE, "python run.py method=lime method.n", "method.n_samples= method.n_segments="),
        (COMPLETE, "python run.py -m filler=telea method=sp,lime dataset=im", "dataset=imagenet"),
    ],
)
def test_help_and_completion_are_light(arguments: list[str], line: str, said: str) -> None:
    loaded, printed = modules("from run import main; main()", *arguments, line=line)
    assert said in printed
    assert "hydra" in loaded
    assert not loaded & HEAVY


def test_a_run_begins_with_its_first_photo_before_anything_else_is_imported(tmp_path: Path) -> None:
    places = [f"tracking.uri=sqlite:///{tmp_path}/x.db", f"hydra.run.dir={tmp_path}/run"]
    chosen = ["method=center", "selection.limit=1", "threads=1", *places]
    loaded, printed = modules(FIRST_PHOTO, *chosen)
    assert "first photo" in printed
    assert "torch" in loaded
    assert not loaded & LATE
