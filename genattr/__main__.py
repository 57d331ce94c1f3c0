"""The command line: ``genattr``, ``python -m genattr`` and ``python run.py`` all end here.

Fast to import, so that ``--help`` and tab completion are fast.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from genattr import files, imports, stopping, streams, told
from genattr.errors import one_line_errors

if TYPE_CHECKING:
    from omegaconf import DictConfig


def job(cfg: DictConfig) -> float | None:
    """Run one job; a sweep calls it once per member, and may optimize the returned number."""
    with imports.quick("genattr.sweep.job"):
        from genattr.sweep.job import run_job
    return run_job(cfg)


def main() -> None:
    """Read the command line and run the job, the sweep or the command that it asks for."""
    streams.prepare()
    told.in_logs()
    with stopping.in_one_line(), one_line_errors():
        from genattr import commands

        files.require_working_folder()
        words = sys.argv[1:]
        if words[:1] == ["help"]:
            words = ["--help", *words[1:]]
        name = commands.named(words)
        if name is None:
            _experiment(words)
        else:
            commands.start(name, words[1:])
            if not streams.are_whole():
                raise SystemExit(1)


def _experiment(words: list[str]) -> None:
    from omegaconf import OmegaConf

    from genattr import claims, commands, config
    from genattr.commands import jobs
    from genattr.sweep import launching, lifecycle, member

    if member.is_in_series():
        stopping.end_with_parent()
    config.register()
    OmegaConf.register_new_resolver("commands", commands.overview, replace=True)
    try:
        with launching.in_one_line(lifecycle.how_to_go_on):
            jobs.start(job, words, config.folder(), "config")
    finally:
        complete = lifecycle.finish()
        claims.release_all()
    if not complete:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
