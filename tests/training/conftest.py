"""Small photos, and a training of seconds on them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hydra.core.global_hydra import GlobalHydra
from PIL import Image

from genattr.training.__main__ import main
from tests.conftest import REPO

SMALL = ["stages=[{until:1,sizes:[64]}]", "batch=1", "threads=1", "device=cpu", "held_out=2"]
RARE = ["log_every=1", "save_every=1000", "sample_every=1000", "tracking=none"]


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Striped photos, which a smooth guess cannot continue and a network can."""
    root = tmp_path_factory.mktemp("photos")
    (root / "sub").mkdir()
    generator = np.random.default_rng(0)
    for number in range(20):
        stripes = np.arange(80 + number) // 2 % 2
        colors = generator.integers(0, 256, (2, 3), dtype=np.uint8)
        pixels = np.repeat(colors[stripes][None], 72, axis=0)
        Image.fromarray(pixels).save(root / ("sub" if number % 2 else ".") / f"{number}.png")
    return root


def start(*overrides: str) -> None:
    """Run the command line of a training in this process."""
    GlobalHydra.instance().clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["training", *SMALL, *RARE, *overrides])
        main()


def launch(*overrides: str, processes: int = 1) -> subprocess.Popen[str]:
    """Start a training in processes of its own."""
    line = [sys.executable, "-m"]
    if processes > 1:
        line += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    return subprocess.Popen(
        [*line, "genattr.training", *SMALL, *RARE, *overrides],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
