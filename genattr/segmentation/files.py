"""Label maps from files: from any program that segments photos, or drawn by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from genattr.dataset.beside import file_of, files_of
from genattr.dataset.photo import place_labels, read_labels
from genattr.errors import require
from genattr.files import expanded
from genattr.protocols import Segmentation
from genattr.types import Sample

ENDINGS = (".png", ".npy")


@dataclass(frozen=True)
class Files(Segmentation):
    """Pixels of equal number in the photo's label map are a segment, connected or not.

    A label map covers the whole upright photo at any size; it goes through the photo's own crop
    and resize, by nearest neighbor.

    Parameters
    ----------
    root
        Folder of the label maps, one per photo, with one whole number a pixel: a gray or palette
        PNG of 8 or 16 bits, or an array in a .npy file. For the photo ``birds/a.jpg`` it is called
        ``birds/a.jpg.png`` or ``birds/a.jpg.npy``, or else ``birds/a.png`` or ``birds/a.npy``.
    """

    root: str | None = field(metadata={"identity": False})

    def __post_init__(self) -> None:
        super().__post_init__()
        message = f"segmentation.root={self.root}: must be a folder of label maps, one per photo"
        require(self.root is not None and self._folder.is_dir(), message)

    def files_beside(self, image_id: str) -> Sequence[Path]:
        return files_of(image_id, self._folder, ENDINGS)[:1]

    def reads(self, sample: Sample) -> dict[str, Any]:
        labels = self._labels(sample)
        return {"segments": hashlib.sha256(labels.numpy().tobytes()).hexdigest()}

    def split(self, sample: Sample, n_segments: int, compactness: float, sigma: float) -> Tensor:
        return self._labels(sample)

    def _labels(self, sample: Sample) -> Tensor:
        file = file_of(sample.image_id, self._folder, ENDINGS, "label map")
        return place_labels(read_labels(file), sample)

    @property
    def _folder(self) -> Path:
        return expanded(str(self.root))
