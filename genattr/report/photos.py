"""A run's photos, opened again where they are on this machine."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from omegaconf import OmegaConf

from genattr import config
from genattr.errors import BadPhotoError, UserError
from genattr.results.finished import Member
from genattr.types import Dataset, Sample


def load(member: Member, image_id: str) -> Sample | None:
    """Open a photo of a run as the run saw it; None where it cannot be opened any more."""
    dataset = _dataset(member.folder)
    if dataset is None:
        return None
    try:
        return dataset.load(list(dataset.ids).index(image_id), member.size)
    except (BadPhotoError, ValueError):
        return None


@cache
def _dataset(folder: Path) -> Dataset | None:
    """Open a run's dataset again; None where it is not on this machine."""
    try:
        dataset: Dataset = config.build(OmegaConf.load(folder / "config.yaml").dataset, "dataset")
    except UserError:
        return None
    return dataset
