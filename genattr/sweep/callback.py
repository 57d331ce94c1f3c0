"""Hydra's callback into ``genattr.sweep``.

Hydra calls it before it makes any folder, so that what is checked here leaves nothing behind.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict, read_write

import genattr
from genattr import imports
from genattr.errors import one_line_errors


class SweepCallback(Callback):
    """Checks a run, or opens a sweep's parent run, before anything is written.

    Hydra turns an exception of a callback into a warning, so a UserError ends the process.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the run; in a folder that Hydra changes to, paths are not yet what they will be."""
        place = str(Path(config.hydra.run.dir).absolute())
        _greet(place)
        if config.hydra.job.chdir:
            return
        with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
            config.hydra.runtime.output_dir = place
        HydraConfig.instance().set_config(config)
        with imports.quick("genattr.sweep.job"):
            from genattr.sweep import job
        with one_line_errors():
            job.check(config)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Open the sweep."""
        from genattr.sweep import lifecycle

        _greet(str(Path(config.hydra.sweep.dir).absolute()))
        with one_line_errors():
            lifecycle.start(config)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Mark that Hydra has run all members."""
        from genattr.sweep import lifecycle

        lifecycle.mark_complete()


def _greet(place: str) -> None:
    """Say that something happens before what takes seconds is imported, and where results go."""
    print(f"genattr {genattr.__version__}: results go to {place}", flush=True)
