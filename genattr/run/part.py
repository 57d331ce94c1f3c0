"""One of the processes that ``genattr.run.parts`` starts: explains the photos that it is given."""

from __future__ import annotations

import logging
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from genattr import console, stopping
from genattr.console import Progress
from genattr.errors import TERMINATED, UserError, memory_told, reason, wants_tracebacks
from genattr.run.findings import Findings
from genattr.run.selection import Chosen
from genattr.run.study import Study
from genattr.run.variants import variants
from genattr.scoring import Counts

Explain = Callable[[Study, Chosen, Findings, Progress], None]
Assemble = Callable[[DictConfig], Study]


def work(line: Connection, settings: Any, assemble: Assemble, explain: Explain) -> None:
    """Explain what comes over the line, until this process is ended.

    Parameters
    ----------
    line
        Brings a variant's name with photos; takes what is told, the findings, and an error.
    settings
        The configuration, resolved, of this process's device.
    assemble, explain
        Build the components, and explain photos.
    """
    stopping.end_with_parent()
    signal.signal(signal.SIGTERM, _terminate)
    console.console.quiet = True
    told = _Told(line)
    with _to_its_end(), _failures(told), memory_told():
        studies = _studies(settings, assemble)
        _log_to(told)
        while True:
            variant, photos = line.recv()
            findings = Findings()
            explain(studies[variant], photos, findings, told)
            told.tell("found", replace(findings, counts=Counts(scored=findings.counts.scored)))


def _terminate(*_: object) -> None:
    raise SystemExit(TERMINATED)


@contextmanager
def _to_its_end() -> Iterator[None]:
    """Have SIGTERM raise nothing more after the work, where nobody would take it."""
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _studies(settings: Mapping[str, Any], assemble: Assemble) -> dict[str, Study]:
    """Build the run, and its variants by their names; what there is to say was said before."""
    device = torch.device(settings["device"])
    if device.type == "cuda":
        torch.cuda.set_device(device)
    logging.disable()
    study = assemble(OmegaConf.create(dict(settings)))
    logging.disable(logging.NOTSET)
    return {each.variant: each for each in (study, *variants(study).values())}


class _Told(Progress):
    """The line to the process that started this one; any thread may use it."""

    def __init__(self, line: Connection) -> None:
        self._line, self._free = line, threading.Lock()

    def tell(self, *message: object) -> None:
        with self._free:
            self._line.send(message)

    def scored(self, count: int) -> None:
        self.tell("scored", count)

    def finished(self, scored: int = 0) -> None:
        self.tell("finished", scored)

    def skipped(self, heatmaps: int) -> None:
        self.tell("skipped", heatmaps)


class _Handler(logging.Handler):
    """Sends what is logged over the line."""

    def __init__(self, told: _Told) -> None:
        super().__init__()
        self._told = told

    def emit(self, record: logging.LogRecord) -> None:
        self._told.tell("said", record.name, record.levelno, self.format(record))


def _log_to(told: _Told) -> None:
    """Log as the process that started this one does: ours from INFO on, of others warnings."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[_Handler(told)])
    logging.getLogger("genattr").setLevel(logging.INFO)


@contextmanager
def _failures(told: _Told) -> Iterator[None]:
    """Tell of an error, and end."""
    try:
        yield
    except UserError as error:
        told.tell("failed", str(error), traceback.format_exc() if wants_tracebacks() else "")
    except Exception as error:
        told.tell("failed", reason(error), traceback.format_exc())
