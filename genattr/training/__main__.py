"""The command line: ``python -m genattr.training``, alone or under ``torchrun``.

Light to import, so that ``--help`` is fast.
"""

from __future__ import annotations

import signal

import hydra
from omegaconf import DictConfig

from genattr import config, streams
from genattr.errors import TERMINATED
from genattr.training import settings


def job(cfg: DictConfig) -> None:
    """Train; a second start goes on where the first was stopped."""
    from genattr.training.run import run_job

    run_job(cfg)


def main() -> None:
    """Read the command line and train."""
    streams.replace_unknown()
    config.register()
    settings.register()
    before = signal.signal(signal.SIGTERM, _terminate)
    folder = str(settings.FOLDER)
    try:
        hydra.main(version_base="1.3", config_path=folder, config_name="train")(job)()
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(*_: object) -> None:
    raise SystemExit(TERMINATED)


if __name__ == "__main__":
    main()
