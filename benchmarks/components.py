"""What the benchmarks share: components built from the real configuration."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from benchmarks import random_weights
from genattr import config, environment
from genattr.components import build
from genattr.engine import fuse
from genattr.errors import UserError
from genattr.filler.inpainting import Inpainter
from genattr.method.base import Method
from genattr.metric.base import Metric
from genattr.protocols import Classifier, Component, Dataset, Filler, Segmentation
from genattr.tracking.base import Tracking

BASES: dict[str, type[Component]] = {
    "dataset": Dataset,
    "classifier": Classifier,
    "filler": Filler,
    "method": Method,
    "metric": Metric,
    "segmentation": Segmentation,
    "tracking": Tracking,
}
CONF = Path(__file__).resolve().parents[1] / "conf"


def prepare(threads: int | None = None) -> None:
    """Set the process up as a run on the CPU does."""
    config.register()
    environment.prepare("cpu", threads, tune_allocator=True)


def composed(*overrides: str) -> DictConfig:
    """Compose the configuration as run.py would with overrides."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=list(overrides))


def component(group: str, *overrides: str) -> Any:
    """Build a component, ``filler`` or ``metric.deletion``, as run.py would with overrides."""
    node = OmegaConf.select(composed(*overrides), group)
    return build(node, group, BASES[group.partition(".")[0]])


@torch.no_grad()
def started(*overrides: str) -> Any:
    """Return a classifier as it is in the middle of a run, its layers fused."""
    classifier = component("classifier", *overrides)
    fuse.PAYS = 0
    classifier.fuse()
    classifier(torch.zeros(32, 3, classifier.input_size, classifier.input_size))
    return classifier


def named_fillers(named: Sequence[str], with_random_weights: bool) -> Iterator[tuple[str, Filler]]:
    """Build fillers from lines such as ``deepfill filler.context=96``; say which are left out."""
    for line in named:
        option, *keys = shlex.split(line)
        try:
            yield line, component("filler", f"filler={option}", *keys)
        except UserError as error:
            print(f"left out: {line}: {error}")
    if with_random_weights:
        for name in random_weights.ARCHITECTURES:
            yield f"{name}, random weights", random_weights.inpainter(name)


def altered(inpainter: Inpainter, **changes: object) -> Inpainter:
    """Return a twin with other keys and the same network, which stays loaded."""
    twin = replace(inpainter, **changes)
    own = {field.name for field in fields(inpainter)}
    twin.__dict__.update({k: v for k, v in inpainter.__dict__.items() if k not in own})
    return twin
