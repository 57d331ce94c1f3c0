"""What the benchmarks share: components built from the real configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir

from genattr import config, machine

CONF = Path(__file__).resolve().parents[1] / "conf"


def prepare(threads: int | None = None) -> None:
    """Set the process up as a run on the CPU does."""
    config.register()
    machine.prepare("cpu", threads, tune_allocator=True)


def component(group: str, *overrides: str) -> Any:
    """Build the component of a group, such as ``filler``, as run.py would with these overrides."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=list(overrides))
    return config.build(cfg[group], group)
