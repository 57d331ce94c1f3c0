"""The command line: ``genattr``, ``python -m genattr`` and ``python run.py`` all end here.

Fast to import, so that ``--help`` and tab completion are fast.
"""

from __future__ import annotations

import signal

import hydra
from omegaconf import DictConfig

from genattr import config, imports, streams
from genattr.errors import TERMINATED
from genattr.sweep import lifecycle


def job(cfg: DictConfig) -> float | None:
    """Run one job; a sweep calls it once per member, and may optimize the returned number."""
    with imports.quick("genattr.sweep.job"):
        from genattr.sweep.job import run_job
    return run_job(cfg)


def main() -> None:
    """Read the command line and run the job or the sweep that it asks for."""
    streams.replace_unknown()
    config.register()
    folder = str(config.folder())
    before = signal.signal(signal.SIGTERM, _terminate)
    start = hydra.main(version_base="1.3", config_path=folder, config_name="config")(job)
    try:
        start()
    finally:
        complete = lifecycle.finish()
        signal.signal(signal.SIGTERM, before)
    if not complete:
        raise SystemExit(1)


def _terminate(*_: object) -> None:
    """End as after Ctrl-C, so that runs are closed: schedulers send SIGTERM before SIGKILL."""
    raise SystemExit(TERMINATED)


if __name__ == "__main__":
    main()
