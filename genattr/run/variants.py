"""Variants of a run under other values of one key, as ``sensitivity=patch_size`` compares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig

from genattr import components
from genattr.analysis.sensitivity import Sensitivity, compare
from genattr.components import plain_numbers
from genattr.config import SEED
from genattr.errors import require
from genattr.method.base import Method
from genattr.protocols import Filler
from genattr.run.findings import stored
from genattr.run.study import Study


def variants(study: Study) -> dict[str, Study]:
    """Return the run under each value of ``sensitivity.over``, without metrics; empty for none.

    Raises
    ------
    UserError
        If the method has no such key, does not use it, or refuses a value.
    """
    chosen = study.cfg.sensitivity
    if chosen.over is None:
        return {}
    require(
        chosen.over not in study.method.idle,
        f"sensitivity.over={chosen.over}: this {study.method.title} does not use it; there is "
        f"{_names(study.method)}",
    )
    if chosen["values"] is None:
        return {}
    return {str(value): _variant(study, chosen.over, value) for value in chosen["values"]}


def compare_variants(study: Study, keys: Mapping[str, Sequence[str]]) -> Sensitivity | None:
    """Compare the heatmaps of the variants; None if there are none.

    Parameters
    ----------
    keys
        The heatmaps' keys in the store by value, for the same photos in the same order.
    """
    if not keys:
        return None
    maps = {value: stored(study.store, stored_keys) for value, stored_keys in keys.items()}
    title = f"{study.method.title} · {study.filler.title}"
    over, size = study.cfg.sensitivity.over, study.classifier.input_size
    return compare(title, over, maps, size, family=study.method.family)


def _variant(study: Study, over: str, value: Any) -> Study:
    cfg, method = study.cfg.copy(), study.method
    if over == SEED:
        require(type(value) is int, f"sensitivity.values: seed {value} must be a whole number")
        cfg.seed = value
    else:
        require(
            over in cfg.method,
            f"sensitivity.over={over}: method {method.title} has no such key; it has "
            f"{_names(method)}",
        )
        cfg.method[over] = value
        method = components.build(cfg.method, "method", Method)
    return replace(
        study,
        cfg=cfg,
        method=method,
        filler=_filler(study, cfg),
        metrics={},
        variant=f"{over} {value}",
    )


def _names(method: Method) -> str:
    return ", ".join([*plain_numbers(method), SEED])


def _filler(study: Study, cfg: DictConfig) -> Filler:
    """Return the run's filler, or a new one if it follows the key that varies."""
    filler = components.build(cfg.filler, "filler", Filler)
    return study.filler if filler == study.filler else filler
