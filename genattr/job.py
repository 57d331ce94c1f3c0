"""One Hydra job around ``experiment.run``: its folder, its place in a sweep, what it prints."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from genattr import comparison, config, console, experiment, membership
from genattr.errors import UserError, told_in_one_line
from genattr.membership import Note
from genattr.results import Summary

log = logging.getLogger(__name__)


def run_job(cfg: DictConfig) -> None:
    """Run, then say where to look; a UserError ends the process with one line.

    A member of a sweep notes how it ended; its failure does not keep the others from running, and
    it does not run again once it has finished.
    """
    folder = Path(HydraConfig.get().runtime.output_dir)
    if membership.is_member():
        _run_member(membership.for_member(cfg, membership.swept()), folder)
        return
    with told_in_one_line():
        summary = experiment.run(cfg, folder)
    _tell(cfg, summary, folder)


def _run_member(cfg: DictConfig, folder: Path) -> None:
    note = Note(membership.own_name(), membership.fingerprint(cfg))
    if membership.read_note(folder) == note:
        console.say(f"{note.name}: finished before")
        return
    try:
        experiment.run(
            cfg, folder, membership.tags(cfg), membership.numbers(), membership.choices()
        )
    except UserError as error:
        log.error("%s: %s", note.name, error)
        note = replace(note, error=str(error))
    except Exception as error:
        log.exception("%s failed", note.name)
        note = replace(note, error=f"{type(error).__name__}: {error}")
    note.save(folder)


def _tell(cfg: DictConfig, summary: Summary, folder: Path) -> None:
    console.show_scores([summary])
    console.show_similarities(comparison.read(folder))
    console.say(f"\nPicture:       {folder / 'contact_sheet.png'}")
    console.tell_caveats([summary])
    tracking = config.build(cfg.tracking, "tracking")
    if summary.run_id is not None:
        console.say(tracking.how_to_look_at_run(summary.run_id))
