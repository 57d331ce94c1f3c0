"""A whole training: checks, photos, steps, what is recorded on the way and left at the end."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from omegaconf import DictConfig

from genattr import claims, components, console, stopping
from genattr.errors import UserError, abridged, memory_told, one_line_errors
from genattr.files import expanded, try_folder
from genattr.tracking.base import Run, Tracking, closing
from genattr.tracking.journal import Kept, Opening
from genattr.training import checkpoint, data, holes, progress, reading, settings, sheets
from genattr.training.draws import Draws
from genattr.training.processes import Processes, own_device, started, together
from genattr.training.schedule import Plan, decay, plan
from genattr.training.settings import Settings
from genattr.training.trainer import Trainer

log = logging.getLogger(__name__)
RECORDED = "recorded"  # tag of a training whose record is complete and closed
GOES_ON = "the same command goes on from the last checkpoint"
LESS_MEMORY = f"end what else needs it, and {GOES_ON}; or give a smaller batch= and another name="


def run_job(cfg: DictConfig) -> None:
    """Train; the first process alone reports errors, in one line."""
    processes = started()
    if processes.count > 1:
        stopping.end_with_parent()
    if processes.first:
        with one_line_errors(), stopping.keeping(lambda: GOES_ON), memory_told(LESS_MEMORY):
            run(cfg, processes)
        return
    logging.getLogger("genattr").setLevel(logging.ERROR)
    try:
        with memory_told(LESS_MEMORY):
            run(cfg, processes)
    except UserError:
        raise SystemExit(1) from None


def run(cfg: DictConfig, processes: Processes) -> None:
    """Check everything, then train."""
    chosen = settings.read(cfg)
    if chosen.threads is not None:
        torch.set_num_threads(chosen.threads)
    tracker = components.build(cfg.tracking, "tracking", Tracking)
    device = own_device(chosen.device)
    folder = expanded(chosen.folder)
    root = expanded(chosen.root)
    paths = reading.find(root, folder)
    torch.manual_seed(chosen.seed)
    network = checkpoint.first_network(chosen.init)
    discriminator = checkpoint.first_discriminator(chosen.init_discriminator)
    trainer = Trainer(network, discriminator, chosen, device, processes)
    if processes.first:
        try_folder("folder", folder)
        claims.take(folder, "give another name= or folder=")
    before = checkpoint.read(folder, chosen)
    if processes.first:
        folder.mkdir(parents=True, exist_ok=True)
        tracker.prepare()
    with together(processes, device):
        if processes.first:
            _read_photos(paths, root, folder, chosen)
        processes.wait()
        training = Training(trainer, chosen, folder, device, processes)
        training.go_on(before, tracker)


def _read_photos(paths: list[Path], root: Path, folder: Path, chosen: Settings) -> None:
    side = max(data.WIDEST, chosen.largest)
    with progress.reading(len(paths)) as advance:
        index = reading.prepare(paths, root, folder, side, advance)
    message = f"{len(index.names)} photos"
    if index.bad:
        message += f"; {len(index.bad)} were skipped: {abridged(index.bad)}"
    log.info(message)


@dataclass
class Training:
    """A training under way."""

    trainer: Trainer
    settings: Settings
    folder: Path
    device: torch.device
    processes: Processes

    def __post_init__(self) -> None:
        held_out, side = self.settings.held_out, self.settings.largest
        self._photos, squares = data.load(self.folder, held_out, self.device, side)
        self._sheets = sheets.Sheets(squares)
        self._step, self._id = 0, uuid4().hex

    def go_on(self, before: dict[str, Any] | None, tracker: Any) -> None:
        """Train from the beginning or from a checkpoint to the end."""
        if before is not None:
            self._step, self._id = int(before["step"]), str(before["id"])
            self.trainer.restore(before)
            log.info("goes on after step %d of %d", self._step, self.settings.steps)
        if self._step >= self.settings.steps and self._is_recorded(tracker):
            self._tell("finished before")
            return
        run = self._kept(tracker) if self.processes.first else Run()
        with closing(run):
            self._train(run)
            self._finish(run)
        run.tag(RECORDED, "true")
        self._tell(f"finished {self.settings.steps} steps")

    def _kept(self, tracker: Tracking) -> Run:
        """Open a record that goes on in the folder where its store goes away."""
        opening = Opening(self.settings.name, {}, self._tags(), *tracker.place)
        return Kept(self._open(tracker), self.folder, opening, is_begun=True)

    def _open(self, tracker: Tracking) -> Run:
        """Open a record, or go on with that of an earlier start."""
        run: Run
        tags = self._tags()
        for run_id in tracker.find(tags):
            run = tracker.reopen(run_id)
            run.resume()
            return run
        params = {key: str(one) for key, one in asdict(self.settings).items() if key != "tracking"}
        run = tracker.start(self.settings.name, params, tags)
        return run

    def _tags(self) -> dict[str, str]:
        return {"kind": "training", "training": self._id}

    def _is_recorded(self, tracker: Tracking) -> bool:
        """Whether nothing is left to record of a training whose steps are done."""
        if not self.processes.first or not tracker.find(self._tags()):
            return True
        return bool(tracker.find({**self._tags(), RECORDED: "true"}))

    def _train(self, run: Run) -> None:
        chosen, first = self.settings, self.processes.first
        table = progress.Losses(self.folder, self._step)
        loss = ""
        with progress.training(chosen.name, self._step, chosen.steps, first) as advance:
            while self._step < chosen.steps:
                logged = self._one(plan(self._step, chosen, self.processes.count))
                self._step += 1
                if self._due(chosen.log_every):
                    values = self._averaged(logged)
                    loss = f"{values['l1']:.4f}"
                    if first:
                        table.add(self._step, values)
                        run.metrics(values, self._step)
                if first and self._due(chosen.sample_every):
                    self._look(run)
                if first and self._due(chosen.save_every):
                    self._save()
                advance(loss)

    def _due(self, every: int) -> bool:
        return self._step % every == 0 or self._step == self.settings.steps

    def _one(self, step: Plan) -> dict[str, torch.Tensor]:
        """Draw a batch and train on it."""
        chosen = self.settings
        entropy = (chosen.seed, self._step, self.processes.rank)
        of_photos = Draws(self._photos.source, *entropy, 0)
        of_holes = Draws(self.device, *entropy, 1)
        images = self._photos.crops(step.count, step.side, chosen.gray, of_photos)
        hole = holes.draw(step.count, step.side, asdict(chosen.holes), of_holes)
        if self.device.type == "cuda":
            images = images.contiguous(memory_format=torch.channels_last)
        return self.trainer.step(images, hole, step, decay(self._step, chosen.ema))

    def _averaged(self, logged: Mapping[str, torch.Tensor]) -> dict[str, float]:
        values = torch.stack([one.detach().float() for one in logged.values()])
        self.processes.average(values)
        return dict(zip(logged, values.tolist(), strict=True))

    def _look(self, run: Run) -> None:
        """Write and record a sample sheet and how far fills are from photos held out."""
        sheet, scores = self._sheets.look(self.trainer.ema, self.device)
        file = self.folder / "samples" / f"step_{self._step:06d}.png"
        sheets.write(sheet, file)
        run.picture("samples", self._step, sheet.numpy())
        run.metrics({f"held_out_{key}": one for key, one in scores.items()}, self._step)
        self._write()

    def _save(self) -> None:
        state = self.trainer.state() | {"step": self._step, "id": self._id}
        checkpoint.save(self.folder, state, self.settings)

    def _write(self) -> None:
        """Write both networks as they are now, for use and for going on elsewhere."""
        details = {
            "version": self.settings.name,
            "license": checkpoint.license_of(self.settings.init),
            "steps": str(self._step),
            "photos": str(len(self._photos)),
        }
        checkpoint.write_weights(self.folder, self.trainer.ema, details)
        checkpoint.write_discriminator(self.folder, self.trainer.discriminator)

    def _finish(self, run: Run) -> None:
        """Record what the training leaves."""
        if self.processes.first:
            run.files([self.folder / checkpoint.WEIGHTS, self.folder / progress.FILE])

    def _tell(self, what: str) -> None:
        if self.processes.first:
            file = self.folder / checkpoint.WEIGHTS
            console.say(f"{self.settings.name}: {what}")
            console.say(f"Use it by      filler=lightfill filler.checkpoint={file.absolute()}")
