"""The images that a user has: paths, pictures of Pillow, arrays and tensors."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from genattr.dataset.formats import photos_in
from genattr.dataset.given import Picture, opened
from genattr.dataset.photo import Box
from genattr.errors import UserError, reason, require
from genattr.files import expanded
from genattr.library.components import shown

NAME = "image"  # of images that have none
ROUNDING = 1e-5  # beyond 0 and 1, as resizing leaves it
KINDS = (
    "a path, an image of Pillow, an (H, W, 3) array, a (3, H, W) tensor in [0, 1], or several of "
    "them in a list"
)


def pictures_of(given: Any) -> tuple[list[Picture], bool]:
    """Return a user's images, and whether they are several; UserError as ``picture_of``."""
    images, are_several = images_of(given)
    return [picture_of(image) for image in images], are_several


def images_of(given: Any) -> tuple[list[Any], bool]:
    """Return a user's images one by one, and whether they are several.

    Parameters
    ----------
    given
        What ``picture_of`` takes. Several: a folder, a list or any other iterable of these, an
        (N, H, W, 3) array or an (N, 3, H, W) tensor.

    Raises
    ------
    UserError
        If it is nothing of this.
    """
    if isinstance(given, str | PathLike):
        path = expanded(given)
        return (_photos_in(path), True) if path.is_dir() else ([path], False)
    if isinstance(given, Image.Image | np.ndarray | Tensor) and not is_batch(given):
        return [given], False
    require(isinstance(given, Iterable), f"image: {type(given).__name__}: must be {KINDS}")
    images = [image for one in given for image in images_of(one)[0]]
    require(len(images) > 0, "image: there is none in it")
    return images, True


def is_batch(given: Any) -> bool:
    """Whether an array or a tensor holds several images."""
    return isinstance(given, np.ndarray | Tensor) and given.ndim == 4


def picture_of(given: Any) -> Picture:
    """Return one image as datasets have it.

    Parameters
    ----------
    given
        A path, an image of Pillow, an (H, W, 3) or (H, W) array, or a (3, H, W) tensor.

    Raises
    ------
    UserError
        If there is no such file, or it is no image.
    """
    if isinstance(given, Picture):
        return given
    if isinstance(given, Path):
        require(given.is_file(), f"image={given}: no such file")
        return Picture(given.name, given)
    if isinstance(given, Image.Image):
        return Picture(_name(given), _of_pillow(given))
    return Picture(NAME, _of_array(given) if isinstance(given, np.ndarray) else _of_tensor(given))


def _photos_in(folder: Path) -> list[Picture]:
    """Return the photos of a folder, named as ``dataset=folder`` names them."""
    found = photos_in(folder)
    found.tell(f"image={folder}")
    return [Picture(path.relative_to(folder).as_posix(), path) for path in found.photos]


def _name(image: Image.Image) -> str:
    """Return the name of the file that an image was opened from, as far as it is that image."""
    return Path(str(getattr(image, "filename", "") or NAME)).name


def _of_pillow(image: Image.Image) -> Image.Image:
    try:
        return opened(image)
    except Exception as error:  # of a damaged file, or one that is closed
        raise UserError(f"image: it cannot be read ({reason(error)})") from error


def _of_array(array: np.ndarray[Any, Any]) -> Image.Image | Tensor:
    """Return an (H, W, 3) or (H, W) array, also with transparency, as a picture's source."""
    shape = array.shape
    is_image = array.ndim == 2 or (array.ndim == 3 and shape[2] in (1, 3, 4))
    hint = ": turn it by .transpose(1, 2, 0)" if array.ndim == 3 and shape[0] in (1, 3) else ""
    require(is_image and array.size > 0, f"image: an array of {shape} is not (H, W, 3){hint}")
    flat = array[:, :, 0] if array.ndim == 3 and shape[2] == 1 else array
    if array.dtype == np.uint8:
        return opened(Image.fromarray(np.ascontiguousarray(flat)))
    require(array.ndim == 2 or shape[2] != 4, "image: an array with transparency must be of uint8")
    colors = flat if flat.ndim == 3 else np.repeat(flat[:, :, None], 3, axis=2)
    return _of_tensor(_tensor(colors).permute(2, 0, 1))


def _tensor(array: np.ndarray[Any, Any]) -> Tensor:
    try:
        return torch.from_numpy(np.array(array))
    except TypeError as error:
        raise UserError(f"image: an array of {array.dtype}: must be uint8 or float") from error


def _of_tensor(tensor: Tensor) -> Tensor:
    """Return a (3, H, W), (1, H, W) or (H, W) tensor as (3, H, W) float32 in [0, 1], on the CPU."""
    shape = tuple(tensor.shape)
    image = tensor.detach().cpu()
    image = image[None] if image.ndim == 2 else image
    is_image = image.ndim == 3 and image.shape[0] in (1, 3) and image.numel() > 0
    hint = ": turn it by .permute(2, 0, 1)" if image.ndim == 3 and shape[-1] == 3 else ""
    require(is_image, f"image: a tensor of {shape} is not (3, H, W){hint}")
    image = _in_range(image).expand(3, -1, -1)
    return image.clone(memory_format=torch.contiguous_format)


def _in_range(image: Tensor) -> Tensor:
    """Return values as float32 in [0, 1]; UserError if they are beyond it."""
    if image.dtype == torch.uint8:
        return image.float() / 255
    known = f"image: values of {image.dtype}: must be uint8, or float in [0, 1]"
    require(image.is_floating_point(), known)
    require(not bool(image.isnan().any()), "image: there is NaN in it")
    low, high = float(image.min()), float(image.max())
    if low >= -ROUNDING and high <= 1 + ROUNDING:
        return image.float().clamp(0, 1)
    likely = (
        "divide them by 255"
        if low >= 0 and high > 2
        else "give it before normalization, which genattr does inside"
    )
    raise UserError(f"image: values from {low:.3g} to {high:.3g}, not in [0, 1]: {likely}")


def boxes_of(given: Any) -> list[Box]:
    """Return a user's boxes, one or several; UserError if they are none."""
    try:
        array = np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        array = np.zeros(0)
    array = array[None] if array.ndim == 1 else array
    is_right = array.ndim == 2 and array.shape[1] == 4 and len(array) > 0
    require(is_right, f"boxes={shown(given)}: must be [x0, y0, x1, y1], or a list of these")
    return [(row[0], row[1], row[2], row[3]) for row in array.tolist()]
