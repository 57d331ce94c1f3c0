"""The object from a mask file as a heatmap: from any segmentation, or drawn by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genattr.dataset.beside import file_of, files_of
from genattr.dataset.photo import place_mask, read_mask
from genattr.errors import require
from genattr.files import expanded
from genattr.method.baseline import ObjectMap
from genattr.parameters import Objective
from genattr.probe import Probe
from genattr.types import Sample

ENDINGS = (".png",)


@dataclass(frozen=True)
class Masks(ObjectMap):
    """One where the photo's mask is neither black nor transparent, zero elsewhere.

    A mask covers the whole upright photo at any size; it goes through the photo's own crop and
    resize, by nearest neighbor.

    Parameters
    ----------
    root
        Folder of the masks, one PNG per photo: ``birds/a.jpg.png``, or else ``birds/a.png``, for
        the photo ``birds/a.jpg``.
    objective
        What pictures show removed: the object (``deletion``), or all but it (``preservation``).
    """

    root: str | None = field(metadata={"identity": False})
    objective: Objective

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.root is not None, "method=masks needs method.root=/path/to/masks")
        require(self._folder.is_dir(), f"method.root={self.root}: no such folder")

    def files_beside(self, image_id: str) -> Sequence[Path]:
        return files_of(image_id, self._folder, ENDINGS)[:1]

    def reads(self, sample: Sample) -> dict[str, Any]:
        return {"mask": hashlib.sha256(self.mask(sample).numpy().tobytes()).hexdigest()}

    def values(self, probe: Probe) -> Tensor:
        return self.mask(probe.sample).to(torch.float32)

    def mask(self, sample: Sample) -> Tensor:
        """Return the photo's (D, D) bool mask, True = object.

        Raises
        ------
        BadPhotoError
            If there is none, or it cannot be read.
        """
        file = file_of(sample.image_id, self._folder, ENDINGS, "mask")
        return place_mask(read_mask(file), sample)

    @property
    def _folder(self) -> Path:
        return expanded(str(self.root))
