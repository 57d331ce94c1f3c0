"""Every option of every group, found from conf/, and how to make any of them small."""

from __future__ import annotations

from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from genattr import config
from tests.conftest import REPO

COMPONENTS = ("dataset", "classifier", "filler", "method", "metric")
SMALL = {
    "stride": 48,
    "n_samples": 24,
    "n_segments": 8,
    "tie_seeds": 1,
}
NEEDED = {
    "classifier=timm": ["classifier.name=test_resnet", "classifier.pretrained=false"],
    "classifier=torchvision": ["classifier.name=resnet18", "classifier.weights=null"],
    "selection=paper": ["selection.sample=2", "selection.held_out=1"],
}


def options(group: str) -> list[str]:
    """Return the names of a group's options."""
    return sorted(path.stem for path in (REPO / "conf" / group).glob("*.yaml"))


def compose_config(*overrides: str) -> DictConfig:
    """Compose the real configuration."""
    config.register()
    with initialize_config_dir(str(REPO / "conf"), version_base="1.3"):
        return compose("config", overrides=list(overrides))


def small(folder: Path, *overrides: str) -> DictConfig:
    """Compose with few windows, samples and photos, and with results kept in ``folder``."""
    needed = [extra for override in overrides for extra in NEEDED.get(override, [])]
    cfg = compose_config(
        "selection.limit=1",
        "tracking=none",
        f"store={folder / 'heatmaps'}",
        "threads=1",
        *needed,
        *overrides,
    )
    for node in (cfg.method, *cfg.metric.values()):
        for key in SMALL.keys() & node.keys():
            node[key] = SMALL[key]
    return cfg
