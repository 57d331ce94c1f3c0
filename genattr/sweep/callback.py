"""Hydra's callback into ``genattr.sweep``.

Hydra calls it before it makes any folder, so that what is checked here leaves nothing behind.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict, read_write

import genattr
from genattr import imports, told
from genattr.errors import one_line_errors


class SweepCallback(Callback):
    """Checks a run, or opens a sweep's parent run, before anything is written.

    Hydra turns an exception of a callback into a warning and goes on, so each ends the process.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the run; in a folder that Hydra changes to, paths are not yet what they will be."""
        if config.series is not None:
            _run_series(config)
        place = Path(config.hydra.run.dir).absolute()
        _greet(place)
        with _ending():
            with imports.quick("genattr.sweep.job"):
                from genattr.sweep import folders, job
            if not config.hydra.job.chdir:
                _tell_place(config, place)
                job.check(config)
            own = folders.own(config.hydra.run, "hydra.run.dir")
        if own != place:
            _greet(own)

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Put stars for the credentials in what Hydra has just written of the configuration."""
        hydra = config.hydra
        folder = Path(hydra.runtime.output_dir, hydra.output_subdir or "")
        with _ending():
            for file in (*sorted(folder.glob("*.yaml")), Path(hydra.sweep.dir, "multirun.yaml")):
                told.clean(file)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Drop a member's configuration, of which Hydra would keep one for each until the end."""
        if config.hydra.mode == RunMode.MULTIRUN:
            job_return.cfg = job_return.hydra_cfg = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Open the sweep, or run a series of them."""
        if config.series is not None:
            _run_series(config)
        from genattr.sweep import lifecycle

        place = Path(config.hydra.sweep.dir).absolute()
        _greet(place)
        with _ending():
            own = lifecycle.start(config)
        if own.absolute() != place:
            _greet(own)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Mark that Hydra has run all members."""
        from genattr.sweep import lifecycle

        lifecycle.mark_complete()


@contextmanager
def _ending() -> Iterator[None]:
    """End the process on every error: a foreseen one in its line, others with their traceback."""
    try:
        with one_line_errors():
            yield
    except Exception as error:
        traceback.print_exception(error)
        raise SystemExit(1) from None


def _run_series(config: DictConfig) -> NoReturn:
    """Run a series, and end the process: there is nothing left for Hydra to do."""
    _greet(Path(config.hydra.sweep.dir).absolute())
    with _ending():
        with imports.quick("genattr.sweep.series"):
            from genattr.sweep import series
        series.run(config)


def _tell_place(config: DictConfig, place: Path) -> None:
    """Let what asks Hydra for the run's folder find it already."""
    with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
        config.hydra.runtime.output_dir = str(place)
    HydraConfig.instance().set_config(config)


def _greet(place: Path) -> None:
    """Say that something happens before what takes seconds is imported, and where results go."""
    print(f"genattr {genattr.__version__}: results go to {place}", flush=True)
