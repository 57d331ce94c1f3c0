"""The command line: ``python -m genattr.training``, alone or under ``torchrun``.

Light to import, so that ``--help`` is fast.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from genattr import stopping, streams
from genattr.errors import one_line_errors

if TYPE_CHECKING:
    from omegaconf import DictConfig


def job(cfg: DictConfig) -> None:
    """Train; a second start goes on where the first was stopped."""
    from genattr.training.run import run_job

    run_job(cfg)


def main() -> None:
    """Read the command line and train."""
    streams.prepare()
    with stopping.in_one_line(), one_line_errors():
        from genattr import claims, config
        from genattr.commands import jobs
        from genattr.training import settings

        config.register()
        settings.register()
        try:
            jobs.start(job, sys.argv[1:], settings.FOLDER, "train")
        finally:
            claims.release_all()


if __name__ == "__main__":
    main()
