"""A run under other values of one key: what ``sensitivity=patch_size`` explains and compares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from genattr import config
from genattr.analysis.sensitivity import Sensitivity, compare
from genattr.errors import require
from genattr.run.study import Study, name_of, plain_numbers
from genattr.types import Heatmap

SEED = "seed"  # the one key to vary that is not the method's


def variants(study: Study) -> dict[str, Study]:
    """Return the run under each value of ``sensitivity.over``, without metrics; empty for none.

    Raises
    ------
    UserError
        If the method has no such key, or refuses a value.
    """
    chosen = study.cfg.sensitivity
    if chosen.over is None or chosen["values"] is None:
        return {}
    return {str(value): _variant(study, chosen.over, value) for value in chosen["values"]}


def compare_variants(study: Study, keys: Mapping[str, Sequence[str]]) -> Sensitivity | None:
    """Compare the heatmaps of the variants; None if there are none.

    Parameters
    ----------
    keys
        By value, the heatmaps' keys in the store, for the same photos in the same order.
    """
    if not keys:
        return None
    maps = {value: _heatmaps(study, own) for value, own in keys.items()}
    title = f"{name_of(study.method)} · {name_of(study.filler)}"
    return compare(title, study.cfg.sensitivity.over, maps, study.classifier.input_size)


def _variant(study: Study, over: str, value: Any) -> Study:
    cfg, method = study.cfg.copy(), study.method
    if over == SEED:
        require(type(value) is int, f"sensitivity.values: seed {value} must be a whole number")
        cfg.seed = value
    else:
        known = ", ".join([*plain_numbers(method), SEED])
        require(
            over in cfg.method,
            f"sensitivity.over={over}: method {name_of(method)} has no such key; it has {known}",
        )
        cfg.method[over] = value
        method = config.build(cfg.method, "method")
    return replace(study, cfg=cfg, method=method, metrics={}, variant=f"{over} {value}")


def _heatmaps(study: Study, keys: Sequence[str]) -> Iterator[Heatmap]:
    for key in keys:
        heatmap = study.store.get(key)
        assert heatmap is not None, f"{key} was pruned from the store during the run"
        yield heatmap
