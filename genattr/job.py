"""One Hydra job around ``experiment.run``: its folder, its place in a sweep, what it prints."""

from __future__ import annotations

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from genattr import comparison, config, console, experiment, sweep
from genattr.errors import UserError
from genattr.results import Summary


def run_job(cfg: DictConfig) -> None:
    """Run, then say where to look; a UserError ends the process with one line."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        summary = experiment.run(
            cfg, folder, sweep.member_tags(), sweep.member_numbers(), sweep.member_choices()
        )
    except UserError as error:
        raise SystemExit(f"genattr: {error}") from None
    if HydraConfig.get().mode == RunMode.RUN:
        _tell(cfg, summary, folder)


def _tell(cfg: DictConfig, summary: Summary, folder: Path) -> None:
    console.show_scores([summary])
    console.show_similarities(comparison.read(folder))
    console.say(f"\nPicture:       {folder / 'contact_sheet.png'}")
    console.tell_caveats([summary])
    tracking = config.build(cfg.tracking, "tracking")
    if summary.run_id is not None:
        console.say(tracking.how_to_look_at_run(summary.run_id))
