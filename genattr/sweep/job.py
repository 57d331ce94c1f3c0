"""One Hydra job around ``experiment.run``: its folder, its place in a sweep, what it prints."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from multiprocessing import parent_process
from pathlib import Path
from shutil import rmtree

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from genattr import claims, components, config, console, stopping, streams
from genattr.errors import (
    LESS_MEMORY,
    FaultError,
    UserError,
    in_one_line,
    memory_told,
    obstacle,
    one_line_errors,
    wants_tracebacks,
)
from genattr.files import try_folder
from genattr.results import comparison, show
from genattr.results.summary import SUMMARY, Summary, load_summary
from genattr.run import experiment, inputs
from genattr.run.pages import first_page
from genattr.run.study import Place, Study
from genattr.sweep import behind, member
from genattr.sweep.member import Note
from genattr.tracking.base import Tracking
from genattr.tracking.journal import not_recorded

log = logging.getLogger(__name__)
GOES_ON = f"{LESS_MEMORY}; finished heatmaps are kept, and the same command goes on"
_checked: list[Study] = []  # of the run that Hydra is about to start


def check(cfg: DictConfig) -> None:
    """Check a single run before anything of it is written, and keep its components for it.

    Parameters
    ----------
    cfg
        With Hydra's own part.

    Raises
    ------
    UserError
        As ``run_job`` would tell it.
    """
    composed = cfg.copy()
    with open_dict(composed):
        del composed["hydra"]
    try_folder("hydra.run.dir", Path(cfg.hydra.run.dir).absolute())
    study, _ = experiment.check(composed)
    study.tracking.reach()
    _checked[:] = [study]


def run_job(cfg: DictConfig) -> float | None:
    """Run, then print where to look; a UserError ends the process with one line.

    A member of a sweep writes a note of how it ended; its failure does not keep the others from
    running, and it does not run again once it has finished. A sweeper that chooses members from
    earlier results gets the exception.

    Returns
    -------
    The mean of the score that ``optimize`` names, for sweepers that optimize; None if it is unset.
    """
    streams.prepare()
    folder = Path(HydraConfig.get().runtime.output_dir)
    if member.is_member():
        summary = _run_member(member.for_member(cfg, member.swept()), folder)
    else:
        with _told(folder):
            study = _checked.pop() if _checked else experiment.assemble(cfg)
            summary = experiment.conduct(study, folder, Place(command=member.command()))
        _show(cfg, summary, folder)
    if summary is None or cfg.optimize is None:
        return None
    with one_line_errors():
        return summary.number(cfg.optimize)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """End a single run's process in one line, whether it fails or is stopped; free its folder."""
    with one_line_errors(), _nothing_left_if_refused(folder), stopping.keeping(_how_to_go_on):
        try:
            with memory_told(GOES_ON):
                yield
        finally:
            claims.release_all()


def _how_to_go_on() -> str:
    return f"to go on: {stopping.command(config.program())}"


@contextmanager
def _nothing_left_if_refused(folder: Path) -> Iterator[None]:
    """Remove what Hydra made for a run that was refused late, if nothing was told in there."""
    try:
        yield
    except UserError:
        own = HydraConfig.get().output_subdir or ""
        files = [path for path in folder.rglob("*") if path.is_file()]
        if all(path.parent.name == own or path.stat().st_size == 0 for path in files):
            rmtree(folder, ignore_errors=True)
            if folder.parent.name == "outputs":
                with suppress(OSError):  # others are in it
                    folder.parent.rmdir()
        raise


def _run_member(cfg: DictConfig, folder: Path) -> Summary | None:
    note = Note(member.running_name(), member.fingerprint(cfg))
    if parent_process() is not None:  # of a launcher that has processes on this machine
        stopping.end_with_parent()
    with ExitStack() as stack:
        try:
            stack.enter_context(claims.held(folder, "start the sweep again later"))
        except UserError as error:  # whose folder it is writes the note
            _failed(note, error)
            return None
        try:
            if member.is_known_beforehand() and _is_of(member.finished_note(folder), note):
                return _finished(note, folder)  # the start of the sweep looked at what it reads
            with memory_told(GOES_ON):
                study = experiment.assemble(cfg)
                note = replace(note, inputs=inputs.digest(study))
                if member.read_note(folder) == note:
                    return _finished(note, folder)
                (folder / SUMMARY).unlink(missing_ok=True)  # of a time that was not finished
                rest = experiment.work(study, folder, _place(cfg, study))
        except Exception as error:
            _failed(note, error, folder)
            return None
        finish = partial(_finish, rest, note, folder, stack.pop_all())
    if member.has_a_follower() and cfg.optimize is None:
        behind.follow(finish)
        return None
    return finish()


def _finish(
    rest: Callable[[], Summary], note: Note, folder: Path, claim: ExitStack
) -> Summary | None:
    """Do what is left of a member; only then it has finished, and gives its folder back."""
    with claim:
        try:
            with memory_told(GOES_ON):
                summary = rest()
            note.save(folder)
        except Exception as error:
            _failed(note, error, folder)
            return None
        return summary


def _failed(note: Note, error: Exception, folder: Path | None = None) -> None:
    """Tell why a member failed, and note it in its folder; raise it to a sweeper that chooses.

    One without a note has not finished, either.
    """
    is_foreseen = isinstance(error, UserError) or obstacle(error) is not None
    told = in_one_line(error) if is_foreseen else str(error)
    log.error("%s: %s", note.name, told, exc_info=not is_foreseen or wants_tracebacks())
    kind = "" if is_foreseen else f"{type(error).__name__}: "
    if folder is not None:
        with suppress(FaultError):
            replace(note, error=f"{kind}{told}").save(folder)
    if not member.is_known_beforehand():
        raise error


def _is_of(before: Note | None, note: Note) -> bool:
    """Whether a note is of the same member, whatever that had read."""
    return before is not None and before == replace(note, inputs=before.inputs)


def _finished(note: Note, folder: Path) -> Summary:
    console.say(f"{note.name}: finished before")
    return load_summary(folder)


def _place(cfg: DictConfig, study: Study) -> Place:
    """Return the running member's place in its sweep."""
    values = member.chosen()
    return Place(
        tags=member.tags(cfg),
        numbers=member.numbers(HydraConfig.get().job.num, values),
        swept=values,
        in_sweep=member.running_title(study.titles),
        choices=member.choices(values),
        command=member.running_command(),
        comparable=member.comparable(),
    )


def _show(cfg: DictConfig, summary: Summary, folder: Path) -> None:
    show.show_scores([summary])
    show.show_similarities(comparison.read(folder))
    console.say(f"\nPicture:       {folder / 'contact_sheet.png'}")
    page = first_page(folder)
    if page is not None:
        console.say(f"Page:          {page}")
    show.show_caveats([summary])
    if left := not_recorded(folder):
        console.say(left)
    elif summary.run_id is not None:
        tracking = components.build(cfg.tracking, "tracking", Tracking)
        console.say(tracking.how_to_look_at_run(summary.run_id))
