"""Images that are at hand: files, pictures of Pillow, and tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from genattr.dataset.photo import RESAMPLING, Box, PhotoPreprocessing, photo_of, read_photo
from genattr.types import Sample


@dataclass(frozen=True)
class Picture:
    """One image.

    Attributes
    ----------
    name
        Its ``image_id``.
    source
        A file, an image of Pillow, or a (3, H, W) tensor in [0, 1], which keeps its bits.
    label
        Class index, or None.
    boxes
        In pixels of the upright image, half-open, or None.
    """

    name: str
    source: Path | Image.Image | Tensor
    label: int | None = None
    boxes: Sequence[Box] | None = None


@dataclass(frozen=True, kw_only=True)
class Given(PhotoPreprocessing):
    """Images in the order in which they are given.

    Parameters
    ----------
    pictures
        The images.
    """

    pictures: Sequence[Picture]

    @property
    def ids(self) -> Sequence[str]:
        """Names of the images, which need not differ."""
        return [picture.name for picture in self.pictures]

    @property
    def photo_labels(self) -> Sequence[int | None]:
        """Class of each image."""
        return [picture.label for picture in self.pictures]

    @property
    def has_boxes(self) -> bool:
        """Whether any image has boxes."""
        return any(picture.boxes for picture in self.pictures)

    def labeled(self, labels: Sequence[int]) -> Given:
        """Return the same images with other classes."""
        pairs = zip(self.pictures, labels, strict=True)
        return replace(self, pictures=[replace(one, label=label) for one, label in pairs])

    def load(self, index: int, size: int) -> Sample:
        """Convert one image; BadPhotoError if it cannot be read."""
        picture = self.pictures[index]
        boxes = None if picture.boxes is None else list(picture.boxes)
        if isinstance(picture.source, Tensor):
            return self._of_tensor(picture, picture.source, size, boxes)
        photo = opened(picture.source)
        return self.sample(photo, size, picture.name, picture.label, boxes)

    def _of_tensor(
        self, picture: Picture, image: Tensor, size: int, boxes: list[Box] | None
    ) -> Sample:
        """Resize a tensor as a photo, but without rounding; its own size keeps its bits."""
        levels = as_levels(image)
        if levels is not None:
            return self.sample(levels, size, picture.name, picture.label, boxes)
        height, width = image.shape[-2:]
        blank = Image.new("RGB", (width, height))
        sample = self.sample(blank, size, picture.name, picture.label, boxes)
        channels = [Image.fromarray(channel) for channel in image.numpy()]
        region, resampling = sample.region, RESAMPLING[self.interpolation]
        resized = [
            np.asarray(channel.resize((size, size), resampling, box=region)) for channel in channels
        ]
        return replace(sample, image=torch.from_numpy(np.stack(resized)).clamp(0, 1))


def opened(source: Path | Image.Image) -> Image.Image:
    """Return a file or an image of Pillow as an upright RGB photo."""
    return read_photo(source) if isinstance(source, Path) else photo_of(source)


def as_levels(image: Tensor) -> Image.Image | None:
    """Return a (3, H, W) tensor in [0, 1] as a photo of 8 bits; None: it has more."""
    levels = (image * 255).round()
    if not torch.equal(levels / 255, image):
        return None
    return Image.fromarray(levels.byte().permute(1, 2, 0).contiguous().numpy())
