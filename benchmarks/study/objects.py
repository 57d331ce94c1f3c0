"""Objects removed, and all but the objects: the paper's sections 4.1 and 4.2."""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path

import pandas as pd
from omegaconf import OmegaConf

from benchmarks.components import CONF
from benchmarks.study.beyond import averaged, counted, gap
from benchmarks.study.claims import INPAINTERS
from benchmarks.study.plan import rows
from genattr.dataset import imagenet_classes
from genattr.results.finished import Member

GROUPS: Mapping[str, str] = {"table1": "object", "sec41": "background"}
SCORES: Mapping[str, str] = {"judge/accuracy": "judge's accuracy", "ms_ssim/score": "MS-SSIM"}


def birds() -> frozenset[int]:
    """Return the classes of ``dataset=imagenet_birds``, by index."""
    synsets = OmegaConf.load(CONF / "dataset" / "imagenet_birds.yaml").synsets
    return frozenset(map(imagenet_classes.class_index, synsets))


def removed(found: Path, classes: Container[int] = range(imagenet_classes.COUNT)) -> pd.DataFrame:
    """Return by filler how well photos of some classes are recognized without either part."""
    lines: dict[str, dict[str, str]] = {}
    photos: set[str] = set()
    for group, part in GROUPS.items():
        for filler, row in rows(found, group).items():
            table = Member(row).evaluated
            table = table[[label in classes for label in table["label"]]]
            photos |= set(table["image_id"])
            for column, score in SCORES.items():
                cells = lines.setdefault(filler, {})
                cells[f"{score} without the {part}"] = averaged(table[column].tolist())
    frame = pd.DataFrame.from_dict(lines, orient="index").fillna("")
    frame.attrs["photos"] = len(photos)
    return frame


def preserved(found: Path) -> dict[str, str]:
    """Return by inpainter how much rarer than with gray the judge names the object alone."""
    of_group = rows(found, "sec41")
    return {
        name: counted(gap(of_group[name], of_group["gray"], "judge/accuracy", "higher"))
        for name in INPAINTERS
        if {name, "gray"} <= set(of_group)
    }
