"""Run an experiment: ``python run.py method=sp-g filler=mirror``; ``--help`` tells the rest."""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

from genattr import config, sweep

config.register()


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> None:
    """Run one job; a sweep calls it once a member."""
    from genattr.job import run_job

    run_job(cfg)


if __name__ == "__main__":
    try:
        main()
    finally:
        sweep.finish()
