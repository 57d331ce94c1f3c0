"""A run's photos, opened again where they are on this machine."""

from __future__ import annotations

from functools import cache

from genattr.errors import BadPhotoError, UserError
from genattr.protocols import Dataset
from genattr.results.finished import Member
from genattr.types import Sample


def load(member: Member, image_id: str) -> Sample | None:
    """Open a photo of a run as the run saw it; None where it cannot be opened any more."""
    dataset = _dataset(member)
    if dataset is None:
        return None
    try:
        return dataset.load(list(dataset.ids).index(image_id), member.size)
    except (BadPhotoError, UserError, ValueError):
        return None


@cache
def _dataset(member: Member) -> Dataset | None:
    """Open a run's dataset again, once; None where it is not on this machine."""
    return member.rebuilt("dataset", Dataset)
