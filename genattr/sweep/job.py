"""One Hydra job around ``experiment.run``: its folder, its place in a sweep, what it prints."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from genattr import config, console
from genattr.errors import UserError, told_in_one_line
from genattr.results import comparison, show
from genattr.results.summary import Summary
from genattr.run import experiment
from genattr.sweep import member
from genattr.sweep.member import Note

log = logging.getLogger(__name__)


def run_job(cfg: DictConfig) -> None:
    """Run, then say where to look; a UserError ends the process with one line.

    A member of a sweep notes how it ended; its failure does not keep the others from running, and
    it does not run again once it has finished.
    """
    folder = Path(HydraConfig.get().runtime.output_dir)
    if member.is_member():
        _run_member(member.for_member(cfg, member.swept()), folder)
        return
    with told_in_one_line():
        summary = experiment.run(cfg, folder)
    _tell(cfg, summary, folder)


def _run_member(cfg: DictConfig, folder: Path) -> None:
    note = Note(member.own_name(), member.fingerprint(cfg))
    if member.read_note(folder) == note:
        console.say(f"{note.name}: finished before")
        return
    try:
        experiment.run(cfg, folder, member.tags(cfg), member.numbers(), member.choices())
    except UserError as error:
        log.error("%s: %s", note.name, error)
        note = replace(note, error=str(error))
    except Exception as error:
        log.exception("%s failed", note.name)
        note = replace(note, error=f"{type(error).__name__}: {error}")
    note.save(folder)


def _tell(cfg: DictConfig, summary: Summary, folder: Path) -> None:
    show.show_scores([summary])
    show.show_similarities(comparison.read(folder))
    console.say(f"\nPicture:       {folder / 'contact_sheet.png'}")
    show.tell_caveats([summary])
    tracking = config.build(cfg.tracking, "tracking")
    if summary.run_id is not None:
        console.say(tracking.how_to_look_at_run(summary.run_id))
