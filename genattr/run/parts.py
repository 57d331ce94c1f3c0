"""Several processes of this machine that explain the photos of one run, each on its own device.

The process that starts them chooses the photos, deals them out, and joins what comes back. It alone
talks, writes the run's files and records them; heatmaps go from each process to the store.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

import torch
from omegaconf import OmegaConf

from genattr import console
from genattr.console import Progress
from genattr.errors import LESS_MEMORY, UserError
from genattr.run.findings import Findings
from genattr.run.part import Assemble, Explain, work
from genattr.run.selection import Chosen
from genattr.run.study import Study

PATIENCE = 10.0  # seconds that a process has to end before it is killed


@contextmanager
def spread(study: Study, photos: Chosen, assemble: Assemble, explain: Explain) -> Iterator[Explain]:
    """Yield a function that explains photos on all devices of a run; its processes end with it.

    Parameters
    ----------
    photos
        All that the run has; there are no more processes than photos.
    assemble, explain
        Build the components in a process, and explain a part of the photos there. Where one device
        is enough, ``explain`` itself is yielded.
    """
    devices = study.devices[: len(photos)]
    if len(devices) == 1:
        yield explain
        return
    names = _names(devices)
    console.say(f"Devices:       {', '.join(names)}")
    if study.device.type == "cuda":
        torch.cuda.empty_cache()  # this process keeps its components, and little else
    parts: list[Part] = []
    try:
        for name, device in zip(names, devices, strict=True):
            parts.append(_start(name, _settings(study, device, len(devices)), assemble, explain))
        yield Parts(parts).explain
    finally:
        _stop(parts)


def _names(devices: Sequence[torch.device]) -> list[str]:
    """Name the processes by their devices, for people."""
    if devices[0].type == "cuda":
        return [str(device) for device in devices]
    return [f"{device} {number}" for number, device in enumerate(devices, start=1)]


def _settings(study: Study, device: torch.device, parts: int) -> Any:
    """Return the configuration of one process: its device, and its share of the threads."""
    cfg = study.cfg.copy()
    cfg.devices, cfg.device = 1, str(device)
    cfg.threads = cfg.threads or max(torch.get_num_threads() // parts, 1)
    return OmegaConf.to_container(cfg, resolve=True)


@dataclass(frozen=True, eq=False)
class Part:
    """A process, and the line to it."""

    name: str
    process: SpawnProcess
    line: Connection

    def message(self) -> tuple[Any, ...]:
        """Return the next message; where the process has ended without one, that it failed."""
        try:
            message: tuple[Any, ...] = self.line.recv()
            return message
        except (EOFError, OSError):
            self.process.join(PATIENCE)
            return ("ended", how_it_ended(self.process.exitcode))


def how_it_ended(code: int | None) -> str:
    """Tell how a process ended that came to no end of its own, by its exit code."""
    number = 0 if code is None else -code if code < 0 else code - 128
    if number <= 0:
        return f"its process ended too early (exit code {code})"
    killed = f"its process was ended by {signal.Signals(number).name}"
    if number != signal.SIGKILL:
        return killed
    return f"{killed}, probably for want of memory: {LESS_MEMORY}"


def _start(name: str, settings: Any, assemble: Assemble, explain: Explain) -> Part:
    """Start a process: spawned, because CUDA does not survive a fork."""
    context = get_context("spawn")
    line, its_end = context.Pipe()
    arguments = (its_end, settings, assemble, explain)
    process = context.Process(target=work, args=arguments, name=name, daemon=True)
    with _interrupts_blocked():
        process.start()
    its_end.close()
    return Part(name, process, line)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Let processes inherit that Ctrl-C is not for them: this one ends them."""
    resource_tracker.ensure_running()  # or else the first start does it, and lifts the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _stop(parts: Sequence[Part]) -> None:
    """End the processes, those that are at work included."""
    for part in parts:
        part.process.terminate()
    for part in parts:
        part.process.join(PATIENCE)
        part.process.kill()
        part.process.join()
        part.line.close()


class Parts:
    """Processes that explain photos together."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._failed: dict[str, str] = {}
        self._said: set[str] = set()

    def explain(self, study: Study, photos: Chosen, findings: Findings, progress: Progress) -> None:
        """Explain and score photos; an error in a process does not keep the others from theirs.

        Raises
        ------
        UserError
            Names the devices whose processes failed, once the others have finished; or at once
            the one whose process was ended from outside.
        """
        found: dict[str, Findings] = {}
        busy = self._deal_out(study.variant, photos)
        while busy:
            ready = wait(list(busy))
            for part in [part for line, part in busy.items() if line in ready]:
                if not self._hear(part, found, progress):
                    del busy[part.line]
        for part in self._parts:
            findings.join(found.get(part.name, Findings()))
        if self._failed:
            raise UserError(self._failure())

    def _deal_out(self, variant: str, photos: Chosen) -> dict[Connection, Part]:
        """Hand each process its photos; return those that have got any, by their lines."""
        busy = {}
        for part, own in zip(self._parts, photos.divided(len(self._parts)), strict=True):
            if own:
                with suppress(OSError):  # of a process that has ended, as its line will tell
                    part.line.send((variant, own))
                busy[part.line] = part
        return busy

    def _hear(self, part: Part, found: dict[str, Findings], progress: Progress) -> bool:
        """Take a message of a process; return whether there will be others."""
        match part.message():
            case ("scored", count):
                progress.scored(count)
            case ("finished", scored):
                progress.finished(scored)
            case ("skipped", heatmaps):
                progress.skipped(heatmaps)
            case ("said", logger, level, text):
                self._say(f"{part.name}: ", logger, level, text)
            case ("found", findings):
                found[part.name] = findings
                return False
            case ("ended", how):
                self._failed = {part.name: how}
                raise UserError(self._failure())
            case ("failed", why, details):
                self._failed[part.name] = why
                self._say(f"{part.name}: ", __name__, logging.ERROR, details or why)
                return False
        return True

    def _say(self, name: str, logger: str, level: int, text: str) -> None:
        """Log a line of a process; what several say is told once."""
        if text not in self._said:
            self._said.add(text)
            logging.getLogger(logger).log(level, "%s%s", name, text)

    def _failure(self) -> str:
        """Name the devices that failed, by their reasons."""
        reasons: dict[str, list[str]] = {}
        for name, why in self._failed.items():
            reasons.setdefault(why, []).append(name)
        told = "; ".join(f"{', '.join(names)}: {why}" for why, names in reasons.items())
        return f"{told}: finished heatmaps are kept, and the same command goes on"
